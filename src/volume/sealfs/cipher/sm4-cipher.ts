import { fillFromKernel } from "../../../crypto/kernel-random.ts";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Sm4Key, Sm4Provider } from "../../../crypto/sm4/provider.ts";
import type { BlockCipher } from "../block-cipher.ts";
import {
  blockNonce,
  blockTag,
  ciphertextOf,
  putNonceAndTag,
  takeNonceAndTag,
  usedAfterDispose,
} from "./sealed-block.ts";

/** SM4-GCM (RFC 8998) by the provider of SM4 that was chosen for this machine. Seals straight into the caller's memory. */
export class Sm4GcmCipher implements BlockCipher {
  readonly #key: Sm4Key;
  #disposed = false;

  /** @param key - 16 bytes; expanded, and wiped. @throws {RangeError} For another length. */
  constructor(provider: Sm4Provider, key: SecretBuffer) {
    using owned = key;
    this.#key = provider.expand(owned);
  }

  seal(associatedData: Buffer, plaintext: Buffer, sealed: Buffer): void {
    const ciphertext = ciphertextOf(sealed, plaintext.length);
    if (this.#disposed) throw usedAfterDispose();
    fillFromKernel(blockNonce);
    this.#key.gcmSeal(blockNonce, associatedData, plaintext, ciphertext, blockTag);
    putNonceAndTag(sealed);
  }

  open(associatedData: Buffer, sealed: Buffer, plaintext: Buffer): boolean {
    const ciphertext = ciphertextOf(sealed, plaintext.length);
    if (this.#disposed) throw usedAfterDispose();
    takeNonceAndTag(sealed);
    return this.#key.gcmOpen(blockNonce, associatedData, ciphertext, blockTag, plaintext);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#key[Symbol.dispose]();
  }
}
