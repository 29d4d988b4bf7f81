import { createCipheriv, createDecipheriv } from "node:crypto";
import { fillFromKernel } from "../../../crypto/kernel-random.ts";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Suite } from "../../../crypto/suite.ts";
import { type BlockCipher, tagBytes } from "../block-cipher.ts";
import {
  blockNonce,
  blockTag,
  ciphertextOf,
  putNonceAndTag,
  takeNonceAndTag,
  usedAfterDispose,
} from "./sealed-block.ts";

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
    const ciphertext = ciphertextOf(sealed, plaintext.length);
    this.#refuseWhenDisposed();
    fillFromKernel(blockNonce);
    const cipher = this.#key.expose((key) =>
      createCipheriv(this.#suite.aead, key, blockNonce, { authTagLength: tagBytes }),
    );
    cipher.setAAD(associatedData);
    cipher.update(plaintext).copy(ciphertext);
    cipher.final();
    cipher.getAuthTag().copy(blockTag);
    putNonceAndTag(sealed);
  }

  open(associatedData: Buffer, sealed: Buffer, plaintext: Buffer): boolean {
    const ciphertext = ciphertextOf(sealed, plaintext.length);
    this.#refuseWhenDisposed();
    takeNonceAndTag(sealed);
    const decipher = this.#key.expose((key) =>
      createDecipheriv(this.#suite.aead, key, blockNonce, { authTagLength: tagBytes }),
    );
    decipher.setAAD(associatedData);
    decipher.setAuthTag(blockTag);
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
