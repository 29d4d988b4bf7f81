import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { nonceBytes, type Suite, tagBytes } from "../crypto/suite.ts";

/** One key's AES-256-GCM (NIST SP 800-38D) or SM4-GCM (RFC 8998). Whatever computes it, the bytes are the standard's. */
export interface ValueCipher extends Disposable {
  /** Writes `ciphertext ‖ tag (16)` into `out` from `offset`; the nonce must never repeat under this key. */
  seal(nonce: Buffer, associated: Buffer, plaintext: Uint8Array, out: Buffer, offset: number): void;
  /** Opens `nonce (12) ‖ ciphertext ‖ tag (16)`, from `offset` to the end; undefined when it does not authenticate. */
  open(box: Buffer, offset: number, associated: Buffer): Buffer | undefined;
}

/** What makes ciphers: node:crypto everywhere, or OpenSSL called without node:crypto's cost per value. */
export interface ValueCipherProvider {
  readonly name: string;
  create(suite: Suite, key: SecretBuffer): ValueCipher;
}

export const nodeCipherProvider: ValueCipherProvider = {
  name: "node:crypto",
  create: (suite, key) => new NodeCipher(suite, key),
};

class NodeCipher implements ValueCipher {
  readonly #aead: Suite["aead"];
  readonly #key: KeyObject;

  constructor(suite: Suite, key: SecretBuffer) {
    this.#aead = suite.aead;
    this.#key = key.expose((bytes) => createSecretKey(bytes));
  }

  seal(nonce: Buffer, associated: Buffer, plaintext: Uint8Array, out: Buffer, offset: number): void {
    const cipher = createCipheriv(this.#aead, this.#key, nonce);
    cipher.setAAD(associated);
    out.set(cipher.update(plaintext), offset);
    cipher.final();
    out.set(cipher.getAuthTag(), offset + plaintext.byteLength);
  }

  open(box: Buffer, offset: number, associated: Buffer): Buffer | undefined {
    const bodyStart = offset + nonceBytes;
    const bodyEnd = box.length - tagBytes;
    if (bodyEnd < bodyStart) return undefined;
    const decipher = createDecipheriv(this.#aead, this.#key, box.subarray(offset, bodyStart), decipherOptions);
    decipher.setAAD(associated);
    decipher.setAuthTag(box.subarray(bodyEnd));
    const plaintext = decipher.update(box.subarray(bodyStart, bodyEnd));
    try {
      decipher.final();
    } catch {
      plaintext.fill(0);
      return undefined;
    }
    return plaintext;
  }

  /** The key's bytes are in OpenSSL's care, which wipes them when the KeyObject is collected. */
  [Symbol.dispose](): void {}
}

const decipherOptions = { authTagLength: tagBytes } as const;
