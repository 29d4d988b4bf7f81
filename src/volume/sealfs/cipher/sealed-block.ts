import { nonceBytes, sealedOverheadBytes, tagBytes } from "../block-cipher.ts";

const bodyStart: number = nonceBytes + tagBytes;

/** The nonce and the tag of the block that is being sealed or opened: calls never overlap, and copies cost less than views. */
export const blockNonce: Buffer = Buffer.alloc(nonceBytes);
export const blockTag: Buffer = Buffer.alloc(tagBytes);

/**
 * The ciphertext in a sealed block, as a view.
 *
 * @throws {RangeError} When `sealed` is not exactly {@link sealedOverheadBytes} longer than the plaintext.
 */
export function ciphertextOf(sealed: Buffer, plaintextBytes: number): Buffer {
  if (sealed.length !== plaintextBytes + sealedOverheadBytes)
    throw new RangeError(
      `${plaintextBytes} bytes seal to ${plaintextBytes + sealedOverheadBytes}, the room has ${sealed.length}`,
    );
  return sealed.subarray(bodyStart);
}

/** Writes {@link blockNonce} and {@link blockTag} into a block that was sealed. */
export function putNonceAndTag(sealed: Buffer): void {
  sealed.set(blockNonce, 0);
  sealed.set(blockTag, nonceBytes);
}

/** Reads {@link blockNonce} and {@link blockTag} from a block that is to be opened. */
export function takeNonceAndTag(sealed: Buffer): void {
  sealed.copy(blockNonce, 0, 0, nonceBytes);
  sealed.copy(blockTag, 0, nonceBytes, bodyStart);
}

/** What a disposed cipher throws: a wiped key must never be used as a key of zeros. */
export function usedAfterDispose(): Error {
  return new Error("a block cipher was used after it was disposed of");
}
