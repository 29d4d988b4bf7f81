import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { KeyTableError } from "../keys/errors.ts";
import type { KeyWrapper } from "../keys/key-wrapper.ts";
import type { WrapperIdentity } from "../keys/records.ts";
import { Sm2Wrapper } from "../keys/sm2-wrapper.ts";
import type { OwnerChannel } from "./owner-channel.ts";

/** Wraps to an SM2 public key here, and has envelopes opened by the process that opened the volume: the private key is never here. */
export class OwnerWrapper implements KeyWrapper {
  readonly identity: WrapperIdentity;
  readonly #publicKey: Buffer;
  readonly #sm2: Sm2Wrapper;
  readonly #owner: OwnerChannel | undefined;

  /**
   * @param owner - Left out when the owner cannot open envelopes.
   * @throws {CryptoError} `KEY_FORMAT_INVALID` when `publicKey` is not a point of the curve.
   */
  constructor(publicKey: Buffer, owner: OwnerChannel | undefined) {
    this.#publicKey = Buffer.from(publicKey);
    this.#sm2 = new Sm2Wrapper(this.#publicKey);
    this.identity = this.#sm2.identity;
    this.#owner = owner;
  }

  get canUnwrap(): boolean {
    return this.#owner !== undefined;
  }

  wrap(key: SecretBuffer): Buffer {
    return this.#sm2.wrap(key);
  }

  unwrap(envelope: Buffer): SecretBuffer {
    if (this.#owner === undefined) throw new KeyTableError("PRIVATE_KEY_ABSENT");
    return this.#owner.unwrap(this.#publicKey, envelope);
  }

  [Symbol.dispose](): void {
    this.#sm2[Symbol.dispose]();
  }
}
