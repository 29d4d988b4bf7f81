import { CryptoError } from "../crypto/errors.ts";
import { deviceAlgorithms, openBox, sealBox } from "../crypto/sealed-box.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { suites } from "../crypto/suite.ts";
import type { BoxSecret, CryptoDevice, DeviceCapabilities, DeviceHealth, DeviceKey } from "./device.ts";
import { DeviceError } from "./errors.ts";
import type { RootKey } from "./root-key.ts";

/**
 * Master keys in this process's memory, at rest as sealed boxes under the root key.
 * The box secret S of a wrap is the 32-byte master-key version itself.
 */
export class SoftDevice implements CryptoDevice {
  readonly #sealingSecret: SecretBuffer;
  readonly #opened = new Map<string, SecretBuffer>();
  #locked = false;

  constructor(root: RootKey) {
    this.#sealingSecret = root.derive("softDevice");
  }

  capabilities(): DeviceCapabilities {
    return { kind: "soft", suites: ["intl", "sm"], signs: [], authenticatesBlobs: true };
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
    const header = {
      suite: suites[key.suite],
      type: "masterKey",
      keyId: key.keyId,
      keyVersion: key.version,
      deviceAlgorithm: deviceAlgorithms.root,
      deviceBlob: Buffer.alloc(0),
    } as const;
    return Promise.resolve(secret.expose((bytes) => sealBox(header, this.#sealingSecret, materialContext(key), bytes)));
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
    const name = cacheName(key);
    this.#opened.get(name)?.[Symbol.dispose]();
    this.#opened.delete(name);
    return Promise.resolve();
  }

  lock(): Promise<void> {
    this.#locked = true;
    for (const secret of this.#opened.values()) secret[Symbol.dispose]();
    this.#opened.clear();
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
    try {
      const secret = openBox(key.material, "masterKey", this.#sealingSecret, materialContext(key));
      this.#opened.set(name, secret);
      return secret;
    } catch (cause) {
      throw new DeviceError("KEY_DAMAGED", `master key ${key.keyId} version ${key.version} does not open`, cause);
    }
  }

  #mustBeOpen(): void {
    if (this.#locked) throw new DeviceError("DEVICE_LOCKED");
  }
}

function cacheName(key: DeviceKey): string {
  return `${key.keyId}/${key.version}`;
}

/** Binds the sealed material to its key, so that one row's material cannot stand in another's. */
function materialContext(key: Omit<DeviceKey, "material">): Record<string, string> {
  return { key: key.keyId, version: String(key.version), suite: key.suite };
}
