import { createHmac } from "node:crypto";
import { CryptoError } from "../crypto/errors.ts";
import { generateKeyPairOf } from "../crypto/key-generation.ts";
import {
  type EncryptionAlgorithmName,
  isKeyPairSpec,
  isMacSpec,
  type KeyPairSpecName,
  keySpecs,
  type MacAlgorithmName,
  type MacSpecName,
  macAlgorithms,
  type SigningAlgorithmName,
} from "../crypto/key-specs.ts";
import { OpensslKey } from "../crypto/openssl-key.ts";
import { deviceAlgorithms, openBox, sealBox } from "../crypto/sealed-box.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { suites } from "../crypto/suite.ts";
import type {
  BoxSecret,
  CryptoDevice,
  DeviceCapabilities,
  DeviceHealth,
  DeviceKey,
  NewSpecifiedKey,
  SpecifiedDeviceKey,
} from "./device.ts";
import { DeviceError } from "./errors.ts";
import type { RootKey } from "./root-key.ts";

const specs = Object.keys(keySpecs).filter(
  (spec): spec is KeyPairSpecName | MacSpecName =>
    isKeyPairSpec(spec as keyof typeof keySpecs) || isMacSpec(spec as keyof typeof keySpecs),
);

/**
 * Master keys in this process's memory, at rest as sealed boxes under the root key. What a box holds: the 32 bytes of a
 * symmetric version, which are the box secret S of its wraps; the PKCS#8 DER of a key pair; the bytes of a MAC key.
 * Private keys are used inside OpenSSL, which holds them from their first use on.
 */
export class SoftDevice implements CryptoDevice {
  readonly #sealingSecret: SecretBuffer;
  readonly #opened = new Map<string, SecretBuffer>();
  readonly #keyPairs = new Map<string, OpensslKey>();
  #locked = false;

  constructor(root: RootKey) {
    this.#sealingSecret = root.derive("softDevice");
  }

  capabilities(): DeviceCapabilities {
    return { kind: "soft", suites: ["intl", "sm"], specs, authenticatesBlobs: true };
  }

  health(): Promise<DeviceHealth> {
    return Promise.resolve(
      this.#locked
        ? { state: "locked", detail: "locked" }
        : { state: "ready", detail: `${this.#opened.size} master-key versions in memory` },
    );
  }

  createKey(key: Omit<DeviceKey, "material">): Promise<Buffer> {
    this.#mustBeOpen();
    using secret = SecretBuffer.random(32);
    return Promise.resolve(this.#seal(key, secret));
  }

  importKey(key: Omit<DeviceKey, "material">, secret: SecretBuffer): Promise<Buffer> {
    this.#mustBeOpen();
    return Promise.resolve(this.#seal(key, secret));
  }

  async createSpecifiedKey(key: Omit<SpecifiedDeviceKey, "material">): Promise<NewSpecifiedKey> {
    this.#mustBeOpen();
    if (isMacSpec(key.spec)) {
      using secret = SecretBuffer.random(keySpecs[key.spec].keyBytes);
      return { material: this.#seal(key, secret), spki: null };
    }
    const { pkcs8, spki } = await generateKeyPairOf(key.spec);
    using secret = pkcs8;
    this.#mustBeOpen();
    return { material: this.#seal(key, secret), spki };
  }

  async signDigest(key: SpecifiedDeviceKey, algorithm: SigningAlgorithmName, digest: Uint8Array): Promise<Buffer> {
    return (await this.#openKeyPair(key, "sign")).signDigest(algorithm, digest);
  }

  async decrypt(
    key: SpecifiedDeviceKey,
    algorithm: EncryptionAlgorithmName,
    ciphertext: Uint8Array,
  ): Promise<SecretBuffer | undefined> {
    return (await this.#openKeyPair(key, "encrypt")).decrypt(algorithm, ciphertext);
  }

  mac(key: SpecifiedDeviceKey, algorithm: MacAlgorithmName, message: Uint8Array): Promise<Buffer> {
    if (!isMacSpec(key.spec) || !keySpecs[key.spec].macs.includes(algorithm)) throw unsupported(key, algorithm);
    const hmac = this.#open(key).expose((bytes) => createHmac(macAlgorithms[algorithm].hash, bytes));
    return Promise.resolve(hmac.update(message).digest());
  }

  boxSecretToSeal(key: DeviceKey): Promise<BoxSecret> {
    return Promise.resolve({
      secret: this.#open(key).clone(),
      algorithm: deviceAlgorithms.soft,
      blob: Buffer.alloc(0),
    });
  }

  boxSecretToOpen(key: DeviceKey, algorithm: number, blob: Uint8Array): Promise<SecretBuffer> {
    if (algorithm !== deviceAlgorithms.soft || blob.length > 0) throw new CryptoError("BOX_REFUSED");
    return Promise.resolve(this.#open(key).clone());
  }

  destroyKey(key: DeviceKey): Promise<void> {
    const dropped = cacheName({ keyId: key.keyId, version: key.version });
    for (const opened of [this.#opened, this.#keyPairs])
      for (const [name, secret] of opened)
        if (name.startsWith(dropped)) {
          secret[Symbol.dispose]();
          opened.delete(name);
        }
    return Promise.resolve();
  }

  lock(): Promise<void> {
    this.#locked = true;
    for (const secret of this.#opened.values()) secret[Symbol.dispose]();
    this.#opened.clear();
    for (const keyPair of this.#keyPairs.values()) keyPair[Symbol.dispose]();
    this.#keyPairs.clear();
    this.#sealingSecret[Symbol.dispose]();
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lock();
  }

  #open(key: DeviceKey): SecretBuffer {
    this.#mustBeOpen();
    const name = cacheName(key);
    const known = this.#opened.get(name);
    if (known !== undefined) return known;
    const secret = this.#unseal(key);
    this.#opened.set(name, secret);
    return secret;
  }

  async #openKeyPair(key: SpecifiedDeviceKey, usage: "sign" | "encrypt"): Promise<OpensslKey> {
    this.#mustBeOpen();
    if (key.usage !== usage || !isKeyPairSpec(key.spec)) throw unsupported(key, usage);
    const name = cacheName(key);
    const known = this.#keyPairs.get(name);
    if (known !== undefined) return known;
    using pkcs8 = this.#unseal(key);
    const keyPair = await OpensslKey.ofPrivateKey(key.spec, pkcs8);
    const meanwhile = this.#keyPairs.get(name);
    if (this.#locked || meanwhile !== undefined) keyPair[Symbol.dispose]();
    this.#mustBeOpen();
    if (meanwhile !== undefined) return meanwhile;
    this.#keyPairs.set(name, keyPair);
    return keyPair;
  }

  #seal(key: Omit<DeviceKey, "material">, secret: SecretBuffer): Buffer {
    const header = {
      suite: suites[key.suite],
      type: "masterKey",
      keyId: key.keyId,
      keyVersion: key.version,
      deviceAlgorithm: deviceAlgorithms.root,
      deviceBlob: Buffer.alloc(0),
    } as const;
    return secret.expose((bytes) => sealBox(header, this.#sealingSecret, materialContext(key), bytes));
  }

  #unseal(key: DeviceKey): SecretBuffer {
    try {
      return openBox(key.material, "masterKey", this.#sealingSecret, materialContext(key));
    } catch (cause) {
      throw new DeviceError("KEY_DAMAGED", `master key ${key.keyId} version ${key.version} does not open`, cause);
    }
  }

  #mustBeOpen(): void {
    if (this.#locked) throw new DeviceError("DEVICE_LOCKED");
  }
}

/** What tells a key from every other in the caches; without spec and usage, the beginning that all of one version share. */
function cacheName(key: Pick<DeviceKey, "keyId" | "version"> & Partial<SpecifiedDeviceKey>): string {
  return `${key.keyId}/${key.version}/${key.spec ?? ""}${key.usage ?? ""}`;
}

/** Binds the sealed material to its key, so that one row's material cannot stand in another's. */
function materialContext(
  key: Omit<DeviceKey, "material"> & Partial<Pick<SpecifiedDeviceKey, "spec" | "usage">>,
): Record<string, string> {
  const bound = { key: key.keyId, version: String(key.version), suite: key.suite };
  return key.spec === undefined || key.usage === undefined ? bound : { ...bound, spec: key.spec, usage: key.usage };
}

function unsupported(key: SpecifiedDeviceKey, what: string): DeviceError {
  return new DeviceError(
    "DEVICE_UNSUPPORTED",
    `key ${key.keyId}, ${key.spec} of usage ${key.usage}, is not for ${what}`,
  );
}
