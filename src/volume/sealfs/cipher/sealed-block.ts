import { nonceBytes, sealedOverheadBytes, tagBytes } from "../block-cipher.ts";

/** The parts of `nonce (12) ‖ tag (16) ‖ ciphertext`, as views. */
export interface SealedBlock {
  readonly nonce: Buffer;
  readonly tag: Buffer;
  readonly ciphertext: Buffer;
}

/**
 * Takes a sealed block apart.
 *
 * @throws {RangeError} When `sealed` is not exactly {@link sealedOverheadBytes} longer than the plaintext.
 */
export function sealedBlock(sealed: Buffer, plaintextBytes: number): SealedBlock {
  if (sealed.length !== plaintextBytes + sealedOverheadBytes)
    throw new RangeError(
      `${plaintextBytes} bytes seal to ${plaintextBytes + sealedOverheadBytes}, the room has ${sealed.length}`,
    );
  const bodyStart = nonceBytes + tagBytes;
  return {
    nonce: sealed.subarray(0, nonceBytes),
    tag: sealed.subarray(nonceBytes, bodyStart),
    ciphertext: sealed.subarray(bodyStart),
  };
}

/** What a disposed cipher throws: a wiped key must never be used as a key of zeros. */
export function usedAfterDispose(): Error {
  return new Error("a block cipher was used after it was disposed of");
}
