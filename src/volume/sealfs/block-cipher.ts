/** Seals and opens short messages under one key: an AEAD with a 96-bit nonce and a 128-bit tag. */
export interface BlockCipher extends Disposable {
  /**
   * Seals under a fresh random nonce.
   *
   * @param sealed - Room for `nonce (12) ‖ tag (16) ‖ ciphertext`, exactly {@link sealedOverheadBytes} longer than `plaintext`.
   *   Does not overlap `plaintext`.
   */
  seal(associatedData: Buffer, plaintext: Buffer, sealed: Buffer): void;
  /** @param plaintext - Exactly as long as the ciphertext. @returns False, with `plaintext` zeroed, when it is not authentic. */
  open(associatedData: Buffer, sealed: Buffer, plaintext: Buffer): boolean;
}

export const nonceBytes = 12;
export const tagBytes = 16;
export const sealedOverheadBytes: number = nonceBytes + tagBytes;
