import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { NativeCalls } from "../native/native-calls.ts";
import { sdfOperations, u32 } from "./wire.ts";

/** A card's operations, typed, in this process. Public keys are X ‖ Y, ciphertexts `04 ‖ x ‖ y ‖ C3 ‖ C2`. Errors are `DeviceError`. */
export class CardCalls {
  readonly #native: NativeCalls;

  constructor(native: NativeCalls) {
    this.#native = native;
  }

  signPublicKey(keyIndex: number): Promise<Buffer> {
    return this.#one(sdfOperations.signPublicKey, [u32(keyIndex)], true);
  }

  encryptPublicKey(keyIndex: number): Promise<Buffer> {
    return this.#one(sdfOperations.encryptPublicKey, [u32(keyIndex)], true);
  }

  /**
   * r ‖ s. Never sent twice: a signature that did not come back may have been made.
   *
   * @param publicKey - What the card must show for the index.
   */
  sign(keyIndex: number, digest: Uint8Array, publicKey: Buffer): Promise<Buffer> {
    return this.#one(sdfOperations.sign, [u32(keyIndex), Buffer.from(digest), publicKey], false);
  }

  encrypt(publicKey: Buffer, plaintext: SecretBuffer): Promise<Buffer> {
    return plaintext.expose((bytes) => this.#one(sdfOperations.encrypt, [publicKey, bytes], true));
  }

  /** The caller disposes of it. */
  async decrypt(keyIndex: number, ciphertext: Uint8Array): Promise<SecretBuffer> {
    const given = Buffer.from(ciphertext.buffer, ciphertext.byteOffset, ciphertext.byteLength);
    return SecretBuffer.adopt(await this.#one(sdfOperations.decrypt, [u32(keyIndex), given], true));
  }

  newWrappedKey(kekIndex: number): Promise<Buffer> {
    return this.#one(sdfOperations.newWrappedKey, [u32(kekIndex)], true);
  }

  /** 16 bytes for each input of 48. */
  prf(kekIndex: number, wrapped: Buffer, inputs: readonly Buffer[]): Promise<readonly Buffer[]> {
    return this.#native.call(sdfOperations.prf, [u32(kekIndex), wrapped, ...inputs], { repeatable: true });
  }

  random(byteLength: number): Promise<Buffer> {
    return this.#one(sdfOperations.random, [u32(byteLength)], true);
  }

  async #one(operation: string, args: readonly Buffer[], repeatable: boolean): Promise<Buffer> {
    const [answer] = await this.#native.call(operation, args, { repeatable });
    if (answer === undefined) throw new TypeError(`${operation} gave no answer`);
    return answer;
  }
}
