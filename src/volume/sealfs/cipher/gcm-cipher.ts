import { createCipheriv, createDecipheriv } from "node:crypto";
import { fillFromKernel } from "../../../crypto/kernel-random.ts";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Suite } from "../../../crypto/suite.ts";
import { type BlockCipher, tagBytes } from "../block-cipher.ts";
import { sealedBlock, usedAfterDispose } from "./sealed-block.ts";

/**
 * AES-256-GCM or SM4-GCM (RFC 8998) by node:crypto: runs everywhere, and copies each block once more than it must, since
 * OpenSSL's answer comes in memory of its own.
 */
export class GcmCipher implements BlockCipher {
  readonly #suite: Suite;
  readonly #key: SecretBuffer;

  /** @param key - Of the suite's length; the cipher becomes its owner. @throws {RangeError} For another length. */
  constructor(suite: Suite, key: SecretBuffer) {
    if (key.byteLength !== suite.keyBytes)
      throw new RangeError(`${suite.aead} takes a key of ${suite.keyBytes} bytes, got ${key.byteLength}`);
    this.#suite = suite;
    this.#key = key;
  }

  seal(associatedData: Buffer, plaintext: Buffer, sealed: Buffer): void {
    const { nonce, tag, ciphertext } = sealedBlock(sealed, plaintext.length);
    this.#refuseWhenDisposed();
    fillFromKernel(nonce);
    const cipher = this.#key.expose((key) => createCipheriv(this.#suite.aead, key, nonce, { authTagLength: tagBytes }));
    cipher.setAAD(associatedData);
    cipher.update(plaintext).copy(ciphertext);
    cipher.final();
    cipher.getAuthTag().copy(tag);
  }

  open(associatedData: Buffer, sealed: Buffer, plaintext: Buffer): boolean {
    const { nonce, tag, ciphertext } = sealedBlock(sealed, plaintext.length);
    this.#refuseWhenDisposed();
    const decipher = this.#key.expose((key) =>
      createDecipheriv(this.#suite.aead, key, nonce, { authTagLength: tagBytes }),
    );
    decipher.setAAD(associatedData);
    decipher.setAuthTag(tag);
    const opened = decipher.update(ciphertext);
    try {
      decipher.final();
      opened.copy(plaintext);
      return true;
    } catch {
      plaintext.fill(0);
      return false;
    } finally {
      opened.fill(0);
    }
  }

  [Symbol.dispose](): void {
    this.#key[Symbol.dispose]();
  }

  #refuseWhenDisposed(): void {
    if (this.#key.disposed) throw usedAfterDispose();
  }
}
