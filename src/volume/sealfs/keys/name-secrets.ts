import { createHmac } from "node:crypto";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { hkdf, type Suite, suites } from "../../../crypto/suite.ts";
import { ctrUnauthenticated } from "../../../crypto/unauthenticated-cipher.ts";
import { sealedOverheadBytes } from "../block-cipher.ts";
import type { BlockCiphers } from "../cipher/block-ciphers.ts";

const macKeyBytes = 32;

/**
 * What names, links and attributes are bound, hidden and sealed with. Each use has a key of its own:
 *
 *     key = HKDF(suite hash, secret = names key, salt = volume id, info = "strongroom/sealfs/v1/names/" ‖ mac | crypt | seal)
 *
 * and what is sealed has one for each associated data, HKDF(seal key, no salt, info = associated data), so that random nonces
 * never come near the number at which they might repeat.
 */
export class NameSecrets implements Disposable {
  readonly #suite: Suite;
  readonly #makers: BlockCiphers;
  readonly #macKey: SecretBuffer;
  readonly #cryptKey: SecretBuffer;
  readonly #sealKey: SecretBuffer;

  /** @param namesKey - Stays the caller's. */
  constructor(suite: Suite, namesKey: SecretBuffer, volumeId: Buffer, makers: BlockCiphers) {
    const derive = (use: string, bytes: number) =>
      hkdf(suite, namesKey, volumeId, Buffer.from(`strongroom/sealfs/v1/names/${use}`), bytes);
    this.#suite = suite;
    this.#makers = makers;
    this.#macKey = derive("mac", macKeyBytes);
    this.#cryptKey = derive("crypt", suite.keyBytes);
    this.#sealKey = derive("seal", suite.keyBytes);
  }

  /** HMAC of the suite's hash, 32 bytes. */
  mac(message: Buffer): Buffer {
    return this.#macKey
      .expose((key) => createHmac(this.#suite.hash, key))
      .update(message)
      .digest();
  }

  /** Counter mode, its own inverse. @param iv - 16 bytes. */
  crypt(iv: Buffer, input: Buffer): Buffer {
    const cipher = this.#suite === suites.sm ? "sm4-ctr" : "aes-256-ctr";
    return ctrUnauthenticated(cipher, this.#cryptKey, iv, input);
  }

  /** @returns `nonce (12) ‖ tag (16) ‖ ciphertext`. */
  seal(associatedData: Buffer, plaintext: Buffer): Buffer {
    using cipher = this.#makers.make(this.#suite, this.#sealKeyFor(associatedData));
    const sealed = Buffer.allocUnsafeSlow(plaintext.length + sealedOverheadBytes);
    cipher.seal(associatedData, plaintext, sealed);
    return sealed;
  }

  /** Undefined when it is not authentic, or too short. */
  open(associatedData: Buffer, sealed: Buffer): Buffer | undefined {
    if (sealed.length < sealedOverheadBytes) return undefined;
    using cipher = this.#makers.make(this.#suite, this.#sealKeyFor(associatedData));
    const plaintext = Buffer.allocUnsafeSlow(sealed.length - sealedOverheadBytes);
    return cipher.open(associatedData, sealed, plaintext) ? plaintext : undefined;
  }

  [Symbol.dispose](): void {
    for (const key of [this.#macKey, this.#cryptKey, this.#sealKey]) key[Symbol.dispose]();
  }

  #sealKeyFor(associatedData: Buffer): SecretBuffer {
    return hkdf(this.#suite, this.#sealKey, Buffer.alloc(0), associatedData, this.#suite.keyBytes);
  }
}
