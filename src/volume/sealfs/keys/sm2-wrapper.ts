import { checkPublicKey, publicKeyOf } from "../../../crypto/curve.ts";
import { CryptoError } from "../../../crypto/errors.ts";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { Sm2Recipient, sm2Decrypt } from "../../../crypto/sm2-encryption.ts";
import { KeyTableError } from "./errors.ts";
import type { KeyWrapper } from "./key-wrapper.ts";
import type { WrapperIdentity } from "./records.ts";

/**
 * The private side of an SM2 master key: decrypts one ciphertext (GM/T 0009 DER). In this process, or in a cipher card.
 *
 * @throws {CryptoError} `SM2_REFUSED` when the ciphertext does not open.
 */
export type Sm2Opener = (envelope: Buffer) => SecretBuffer;

/**
 * Wraps to an SM2 public key (GM/T 0003.4, envelopes in the DER of GM/T 0009). Anyone can make such an envelope, and it has
 * no place for a context: that it is the zone's own is proved by the table's record around it.
 */
export class Sm2Wrapper implements KeyWrapper {
  readonly identity: WrapperIdentity;
  readonly #publicKey: Buffer;
  readonly #open: Sm2Opener | undefined;
  #recipient: Sm2Recipient | undefined;

  /**
   * @param publicKey - `04 ‖ X ‖ Y`, 65 bytes.
   * @param open - Left out where the private key is not: envelopes can then be made only.
   * @throws {CryptoError} `KEY_FORMAT_INVALID` when `publicKey` is not a point of the curve.
   */
  constructor(publicKey: Buffer, open?: Sm2Opener) {
    checkPublicKey("sm2", publicKey);
    this.#publicKey = Buffer.from(publicKey);
    this.#open = open;
    this.identity = { kind: "sm2", publicKey: this.#publicKey };
  }

  get canUnwrap(): boolean {
    return this.#open !== undefined;
  }

  wrap(key: SecretBuffer): Buffer {
    this.#recipient ??= new Sm2Recipient(this.#publicKey);
    const recipient = this.#recipient;
    return key.expose((bytes) => recipient.encrypt(bytes, "asn1"));
  }

  unwrap(envelope: Buffer): SecretBuffer {
    if (this.#open === undefined) throw new KeyTableError("PRIVATE_KEY_ABSENT");
    try {
      return this.#open(envelope);
    } catch (error) {
      if (error instanceof CryptoError && error.code === "SM2_REFUSED") throw new KeyTableError("ENVELOPE_REFUSED");
      throw error;
    }
  }

  /** Holds no secret: the private side is its giver's. */
  [Symbol.dispose](): void {}
}

/**
 * The private side in this process. The scalar is asked for when the first envelope is opened, and stays its owner's.
 *
 * @param scalar - Gives the private scalar, 32 bytes.
 * @throws {KeyTableError} (of the opener) `KEY_TABLE_WRONG_KEY` when the scalar is not that of `publicKey`.
 */
export function softSm2Opener(publicKey: Buffer, scalar: () => SecretBuffer): Sm2Opener {
  let matched = false;
  return (envelope) => {
    const secret = scalar();
    if (!matched && !publicKeyOf("sm2", secret).equals(publicKey))
      throw new KeyTableError("KEY_TABLE_WRONG_KEY", "the private key is not that of the configured public key");
    matched = true;
    return sm2Decrypt(secret, envelope, "asn1");
  };
}
