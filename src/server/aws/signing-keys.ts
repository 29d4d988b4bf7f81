import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { ByLastUse } from "../by-last-use.ts";
import { signingKey } from "./canonical-request.ts";

interface DerivedKey {
  readonly day: string;
  readonly version: number;
  readonly key: SecretBuffer;
}

/** Keys that are kept; the one unused for longest goes first. */
const maxKeys = 4096;

/**
 * Signing keys of the access keys that were used lately, so that a request costs one HMAC and not five. One key for each
 * access key: of the day and the version of the secret that were used last. A key that makes room or is replaced is wiped.
 */
export class SigningKeys implements Disposable {
  readonly #region: string;
  readonly #service: string;
  readonly #maxKeys: number;
  readonly #keys = new ByLastUse<DerivedKey>();

  constructor(region: string, service: string, options: { readonly maxKeys?: number } = {}) {
    this.#region = region;
    this.#service = service;
    this.#maxKeys = options.maxKeys ?? maxKeys;
  }

  /** The signing key of `day`; lent. `version` is the secret's: a key that came from another one is forgotten. */
  of(accessKeyId: string, secret: SecretBuffer, version: number, day: string): SecretBuffer {
    const known = this.#keys.use(accessKeyId);
    if (known?.day === day && known.version === version) return known.key;
    this.forget(accessKeyId);
    const key = SecretBuffer.take(secret.expose((bytes) => signingKey(bytes, day, this.#region, this.#service)));
    this.#keys.set(accessKeyId, { day, version, key });
    if (this.#keys.size > this.#maxKeys) this.#keys.deleteOldest()?.key[Symbol.dispose]();
    return key;
  }

  /** Wipes what is kept of an access key that is no longer good. */
  forget(accessKeyId: string): void {
    this.#keys.delete(accessKeyId)?.key[Symbol.dispose]();
  }

  /** Keys held now. */
  get size(): number {
    return this.#keys.size;
  }

  [Symbol.dispose](): void {
    while (this.#keys.size > 0) this.#keys.deleteOldest()?.key[Symbol.dispose]();
  }
}
