import type { Context } from "../../crypto/context.ts";
import { CryptoError } from "../../crypto/errors.ts";
import { deviceAlgorithms } from "../../crypto/sealed-box.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type {
  BoxSecret,
  CryptoDevice,
  DeviceCapabilities,
  DeviceHealth,
  DeviceKey,
  DeviceKeyChoice,
  SpecifiedDeviceKey,
  UpstreamKeyChoice,
} from "../device.ts";
import { DeviceError } from "../errors.ts";
import type { AwsKmsClient } from "./client.ts";
import { AwsKmsError } from "./errors.ts";

/** The name under which a box's master key is part of the encryption context that the KMS sees and records. */
export const keyContextName = "strongroom-key";
const boxSecretBytes = 32;

/** What a version's material says: through which integration, and which master key there. */
export interface UpstreamKey {
  readonly integration: string;
  /** Key ARN: an alias that is pointed elsewhere later does not move the key. */
  readonly keyArn: string;
}

/** The clients of the integrations that keys name. Lent: the device closes none of them. */
export interface ClientsByIntegration {
  /** @throws {Error} When there is no such integration. */
  clientOf(integration: string): AwsKmsClient;
}

/**
 * Master keys that stay in an upstream KMS. The box secret S is 32 random bytes that the KMS makes and wraps
 * (GenerateDataKey) and opens (Decrypt), under the box's own context and the master key's id: the KMS decides on every
 * wrap and unwrap, and has each on its own record.
 *
 * A key of this device is a pointer; destroying it destroys nothing upstream. Errors are `AwsKmsError`.
 */
export class AwsKmsDevice implements CryptoDevice {
  readonly #clients: ClientsByIntegration;
  #locked = false;

  constructor(clients: ClientsByIntegration) {
    this.#clients = clients;
  }

  capabilities(): DeviceCapabilities {
    return { kind: "aws-kms", suites: ["intl"], specs: [], authenticatesBlobs: true, remote: true };
  }

  health(): Promise<DeviceHealth> {
    return Promise.resolve(
      this.#locked
        ? { state: "locked", detail: "locked" }
        : { state: "ready", detail: "each use asks the key's own KMS" },
    );
  }

  /** Proves that the KMS makes and opens data keys under the master key, and notes its ARN. */
  async createKey(key: Omit<DeviceKey, "material">, upstream?: UpstreamKeyChoice | DeviceKeyChoice): Promise<Buffer> {
    this.#mustBeOpen();
    if (key.suite !== "intl")
      throw new DeviceError("DEVICE_UNSUPPORTED", `a KMS's master keys are of suite intl, not ${key.suite}`);
    if (upstream === undefined || !("integration" in upstream))
      throw new DeviceError("DEVICE_UNSUPPORTED", "a key in a KMS is made over an integration, and once for life");
    const client = this.#clients.clientOf(upstream.integration);
    const context = { [keyContextName]: key.keyId };
    const { keyArn, blob, plaintext } = await client.generateDataKey(boxSecretBytes, context, upstream.key);
    using made = plaintext;
    const opened = await client.decrypt(blob, context, keyArn);
    using again = opened.plaintext;
    if (!again.equals(made))
      throw new AwsKmsError("KMS_ANSWER_INVALID", `${keyArn} does not open what it has just wrapped`);
    return Buffer.from(JSON.stringify({ integration: upstream.integration, keyArn } satisfies UpstreamKey));
  }

  async boxSecretToSeal(key: DeviceKey, context: Context): Promise<BoxSecret> {
    this.#mustBeOpen();
    const { integration, keyArn } = upstreamKeyOf(key);
    const client = this.#clients.clientOf(integration);
    const made = await client.generateDataKey(boxSecretBytes, withKey(context, key), this.keyToAskFor(keyArn));
    mustBeKey(made, keyArn);
    return { secret: made.plaintext, algorithm: deviceAlgorithms.awsKms, blob: made.blob };
  }

  /** @throws {CryptoError} `BOX_REFUSED` when the KMS finds the blob altered or of another context: one "no" for all. */
  async boxSecretToOpen(key: DeviceKey, algorithm: number, blob: Uint8Array, context: Context): Promise<SecretBuffer> {
    this.#mustBeOpen();
    if (algorithm !== deviceAlgorithms.awsKms || blob.length === 0) throw new CryptoError("BOX_REFUSED");
    const { integration, keyArn } = upstreamKeyOf(key);
    const client = this.#clients.clientOf(integration);
    try {
      const opened = await client.decrypt(blob, withKey(context, key), this.keyToAskFor(keyArn));
      mustBeKey(opened, keyArn);
      const { plaintext } = opened;
      if (plaintext.byteLength === boxSecretBytes) return plaintext;
      plaintext[Symbol.dispose]();
      throw new CryptoError("BOX_REFUSED");
    } catch (error) {
      if (error instanceof AwsKmsError && error.code === "KMS_CIPHERTEXT_REFUSED") throw new CryptoError("BOX_REFUSED");
      throw error;
    }
  }

  /** How the KMS is told which master key is meant, of a key that notes this ARN: a device that trusts no note says it itself. */
  protected keyToAskFor(notedArn: string): string {
    return notedArn;
  }

  async createSpecifiedKey(key: Omit<SpecifiedDeviceKey, "material">): Promise<never> {
    throw unsupported(key);
  }

  async signDigest(key: SpecifiedDeviceKey): Promise<never> {
    throw unsupported(key);
  }

  async decrypt(key: SpecifiedDeviceKey): Promise<never> {
    throw unsupported(key);
  }

  async mac(key: SpecifiedDeviceKey): Promise<never> {
    throw unsupported(key);
  }

  /** The master key in the KMS is not ours to destroy: it may protect more than what went through here. */
  destroyKey(): Promise<void> {
    return Promise.resolve();
  }

  lock(): Promise<void> {
    this.#locked = true;
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lock();
  }

  #mustBeOpen(): void {
    if (this.#locked) throw new DeviceError("DEVICE_LOCKED");
  }
}

/** The error for a key that notes another master key than the one that is meant. */
export function upstreamKeyChanged(notedArn: string, meant: string): DeviceError {
  return new DeviceError(
    "DEVICE_KEY_CHANGED",
    `this was wrapped under ${notedArn}, and the master key that is meant is ${meant}: the key's record was altered, or an alias was pointed elsewhere`,
  );
}

/** Wipes what another master key gave. */
function mustBeKey(
  { keyArn, plaintext }: { readonly keyArn: string; readonly plaintext: SecretBuffer },
  notedArn: string,
): void {
  if (keyArn === notedArn) return;
  plaintext[Symbol.dispose]();
  throw upstreamKeyChanged(notedArn, keyArn);
}

/** Reads a version's material. @throws {DeviceError} `KEY_DAMAGED`. */
export function upstreamKeyOf({ keyId, version, material }: DeviceKey): UpstreamKey {
  try {
    const { integration, keyArn } = JSON.parse(material.toString()) as UpstreamKey;
    if (typeof integration === "string" && typeof keyArn === "string") return { integration, keyArn };
    throw new TypeError("members are missing");
  } catch (cause) {
    throw new DeviceError("KEY_DAMAGED", `master key ${keyId} version ${version} names no key of a KMS`, cause);
  }
}

/** @throws {CryptoError} `CONTEXT_INVALID` for a context that has the key's own name. */
function withKey(context: Context, { keyId }: DeviceKey): Context {
  if (Object.hasOwn(context, keyContextName))
    throw new CryptoError("CONTEXT_INVALID", `the context name ${keyContextName} is set by Strongroom only`);
  return { ...context, [keyContextName]: keyId };
}

function unsupported(key: Pick<SpecifiedDeviceKey, "keyId" | "spec">): DeviceError {
  return new DeviceError("DEVICE_UNSUPPORTED", `key ${key.keyId}: ${key.spec} is not for a device of kind aws-kms`);
}
