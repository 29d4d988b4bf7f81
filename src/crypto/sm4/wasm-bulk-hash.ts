import { type CipherGCM, type CipherGCMTypes, createCipheriv } from "node:crypto";
import { tagBytes } from "../suite.ts";

const aead = "sm4-gcm" as CipherGCMTypes;
const padding: Uint8Array = Buffer.alloc(15);
/** The most that is given to OpenSSL at once. */
const chunkBytes = 2 ** 30;

/**
 * GHASH of a long message by OpenSSL, which has a fast one but none for SM4's counter mode beside it: all of the message,
 * padded to whole blocks, goes in as associated data.
 *
 * The tag that comes of it differs from the message's own in nothing but the block of lengths, which GHASH takes last:
 * `tag = bulkTag ^ (theirs ^ ours)·H`, one multiplication, left to the caller.
 */
export class BulkHash {
  readonly #cipher: CipherGCM;
  #hashedBytes = 0;

  constructor(key: Uint8Array, nonce: Uint8Array) {
    this.#cipher = createCipheriv(aead, key, nonce, { authTagLength: tagBytes });
  }

  /** Hashes `bytes` and zeros up to the next whole block. */
  updatePadded(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; from += chunkBytes)
      this.#cipher.setAAD(bytes.subarray(from, from + chunkBytes));
    const paddingBytes = -bytes.length & 15;
    if (paddingBytes > 0) this.#cipher.setAAD(padding.subarray(0, paddingBytes));
    this.#hashedBytes += bytes.length + paddingBytes;
  }

  /** @param tag - 16 bytes, written: the tag over everything as associated data. @returns How many bytes that was. */
  finish(tag: Uint8Array): number {
    this.#cipher.final();
    tag.set(this.#cipher.getAuthTag());
    return this.#hashedBytes;
  }
}
