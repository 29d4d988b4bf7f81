import { fillFromKernel } from "../../../crypto/kernel-random.ts";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { BlockCipher } from "../block-cipher.ts";
import type { OpensslGcm, OpensslGcmContext } from "./openssl-gcm.ts";
import {
  blockNonce,
  blockTag,
  ciphertextOf,
  putNonceAndTag,
  takeNonceAndTag,
  usedAfterDispose,
} from "./sealed-block.ts";

/** AES-256-GCM by OpenSSL's own functions. Seals straight into the caller's memory. */
export class AesGcmCipher implements BlockCipher {
  readonly #context: OpensslGcmContext;

  /** @param key - 32 bytes; expanded, and wiped. @throws {RangeError} For another length. */
  constructor(openssl: OpensslGcm, key: SecretBuffer) {
    using owned = key;
    this.#context = owned.expose((bytes) => openssl.contextOf(bytes));
  }

  seal(associatedData: Buffer, plaintext: Buffer, sealed: Buffer): void {
    const ciphertext = ciphertextOf(sealed, plaintext.length);
    if (this.#context.disposed) throw usedAfterDispose();
    fillFromKernel(blockNonce);
    this.#context.seal(blockNonce, associatedData, plaintext, ciphertext, blockTag);
    putNonceAndTag(sealed);
  }

  open(associatedData: Buffer, sealed: Buffer, plaintext: Buffer): boolean {
    const ciphertext = ciphertextOf(sealed, plaintext.length);
    if (this.#context.disposed) throw usedAfterDispose();
    takeNonceAndTag(sealed);
    const isAuthentic = this.#context.open(blockNonce, associatedData, ciphertext, blockTag, plaintext);
    if (!isAuthentic) plaintext.fill(0);
    return isAuthentic;
  }

  [Symbol.dispose](): void {
    this.#context[Symbol.dispose]();
  }
}
