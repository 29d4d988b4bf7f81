import { readFileSync } from "node:fs";
import type { Context } from "../../crypto/context.ts";
import { CryptoError } from "../../crypto/errors.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { AwsKmsClient } from "../aws-kms/client.ts";
import { AwsKmsDevice, upstreamKeyChanged, upstreamKeyOf } from "../aws-kms/device.ts";
import { AwsKmsError } from "../aws-kms/errors.ts";
import { checkSettings, isKeyAskedFor } from "../aws-kms/settings.ts";
import type { DeviceKey, DeviceKeyChoice, UpstreamKeyChoice } from "../device.ts";
import { DeviceError } from "../errors.ts";
import { readSecretSource } from "../native/secret-source.ts";
import type { AwsKmsEntry } from "./entry.ts";
import { CatalogueError } from "./errors.ts";
import type { Catalogue } from "./read.ts";

/**
 * A key in a KMS as a device of its own, with the access key that `devices.toml` names. It ends its connection when it ends.
 *
 * The key is the entry's `master_key` and no other: what a slot or an envelope notes is written by whoever writes that file, and could
 * name a key of his own account that lets our access key decrypt. The KMS is asked under `master_key`, which is part of what an
 * administrator trusts, and the ARN that it answers must be the noted one.
 */
class NamedKmsDevice extends AwsKmsDevice {
  readonly #client: AwsKmsClient;
  readonly #name: string;

  constructor(name: string, client: AwsKmsClient) {
    super({ clientOf: () => client });
    this.#client = client;
    this.#name = name;
  }

  /** @param choice - The entry's `master_key` in whatever form, as that is the only key here. */
  override async createKey(
    key: Omit<DeviceKey, "material">,
    choice?: UpstreamKeyChoice | DeviceKeyChoice,
  ): Promise<Buffer> {
    const { masterKey } = this.#client;
    const named = choice === undefined ? undefined : "integration" in choice ? choice.key : choice.keyId;
    const material = await super.createKey(key, { integration: this.#name });
    const { keyArn } = upstreamKeyOf({ ...key, material });
    const isOwn = named === undefined || named === masterKey || (!isAlias(named) && isKeyAskedFor(keyArn, named));
    if (isOwn) return material;
    throw new DeviceError(
      "DEVICE_UNSUPPORTED",
      `device ${this.#name} stands for ${masterKey} (${keyArn}): another key is a device of its own in devices.toml`,
    );
  }

  /** @throws {DeviceError} `DEVICE_KEY_CHANGED` for what notes another key than the entry's `master_key` is. */
  override async boxSecretToOpen(
    key: DeviceKey,
    algorithm: number,
    blob: Uint8Array,
    context: Context,
  ): Promise<SecretBuffer> {
    const { masterKey } = this.#client;
    const { keyArn } = upstreamKeyOf(key);
    if (!isKeyAskedFor(keyArn, masterKey)) throw upstreamKeyChanged(keyArn, masterKey);
    try {
      return await super.boxSecretToOpen(key, algorithm, blob, context);
    } catch (error) {
      if (!(error instanceof CryptoError) || error.code !== "BOX_REFUSED" || !isAlias(masterKey)) throw error;
      const now = await this.#arnOfMasterKey();
      throw now === undefined || now === keyArn ? error : upstreamKeyChanged(keyArn, now);
    }
  }

  protected override keyToAskFor(): string {
    return this.#client.masterKey;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    this.#client[Symbol.dispose]();
  }

  /** What an alias stands for, to say why the KMS refused; undefined when the KMS does not tell this access key. */
  async #arnOfMasterKey(): Promise<string | undefined> {
    try {
      return (await this.#client.generateDataKeyWithoutPlaintext(32, {})).keyArn;
    } catch (error) {
      if (error instanceof AwsKmsError) return undefined;
      throw error;
    }
  }
}

function isAlias(name: string): boolean {
  return name.startsWith("alias/") || name.includes(":alias/");
}

/** Opens the KMS of an entry. @throws {AwsKmsError} `KMS_SETTINGS_INVALID`. @throws {DeviceError} `DEVICE_PIN_UNSAFE`. */
export function openUpstream(catalogue: Pick<Catalogue, "at">, entry: AwsKmsEntry): AwsKmsDevice {
  const settings = checkSettings({
    region: entry.region,
    apiKey: entry.access_key_id,
    masterKey: entry.master_key,
    ...(entry.endpoint === undefined ? {} : { endpoint: entry.endpoint }),
    ...(entry.ca_file === undefined ? {} : { caPem: readCa(catalogue.at(entry.ca_file)) }),
  });
  using secret = readSecretSource(
    entry.secret_file === undefined
      ? { credential: entry.secret_credential ?? "" }
      : { file: catalogue.at(entry.secret_file) },
  );
  return new NamedKmsDevice(entry.name, new AwsKmsClient(settings, secret));
}

function readCa(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new CatalogueError("CATALOGUE_INVALID", `${file} cannot be read: ${(cause as NodeJS.ErrnoException).code}`, {
      cause,
    });
  }
}
