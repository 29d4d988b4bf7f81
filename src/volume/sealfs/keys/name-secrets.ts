import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { hkdf, type Suite } from "../../../crypto/suite.ts";
import { sealedOverheadBytes } from "../block-cipher.ts";
import type { BlockCiphers } from "../cipher/block-ciphers.ts";
import { type CounterMode, type KeyedMac, nodeKeyedFunctions } from "../cipher/keyed-functions.ts";

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
  readonly #mac: KeyedMac;
  readonly #counterMode: CounterMode;
  readonly #sealKey: SecretBuffer;

  /** @param namesKey - Stays the caller's. */
  constructor(suite: Suite, namesKey: SecretBuffer, volumeId: Buffer, makers: BlockCiphers) {
    const derive = (use: string, bytes: number) =>
      hkdf(suite, namesKey, volumeId, Buffer.from(`strongroom/sealfs/v1/names/${use}`), bytes);
    this.#suite = suite;
    this.#makers = makers;
    const keyed = makers.keyed ?? nodeKeyedFunctions;
    this.#mac = keyed.macOf(suite, derive("mac", macKeyBytes));
    this.#counterMode = keyed.counterModeOf(suite, derive("crypt", suite.keyBytes));
    this.#sealKey = derive("seal", suite.keyBytes);
  }

  /** HMAC of the suite's hash, 32 bytes. */
  mac(message: Buffer): Buffer {
    return this.#mac.mac(message);
  }

  /** Counter mode, its own inverse. @param iv - 16 bytes. */
  crypt(iv: Buffer, input: Buffer): Buffer {
    return this.#counterMode.crypt(iv, input);
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
    for (const key of [this.#mac, this.#counterMode, this.#sealKey]) key[Symbol.dispose]();
  }

  #sealKeyFor(associatedData: Buffer): SecretBuffer {
    return hkdf(this.#suite, this.#sealKey, Buffer.alloc(0), associatedData, this.#suite.keyBytes);
  }
}
