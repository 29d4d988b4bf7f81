import { timingSafeEqual } from "node:crypto";
import { publicKeyOf, scalarBytes } from "../../crypto/curve.ts";
import { CryptoError } from "../../crypto/errors.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DatabaseError } from "../errors.ts";
import { openWithSaltOfPublicKey, sealWithSaltOfPublicKey } from "./private-key-v1.ts";
import { isContainer, openContainer, sealContainer } from "./private-key-v2.ts";

/** `v1`: 64 hex digits, as long as the key itself. `v2`: a container with its own salt, and authenticated. */
export type PrivateKeyForm = "v1" | "v2";

/** A master key pair whose private half is about to become text. */
export interface PrivateKeyToSeal {
  /** The private scalar, 32 bytes; stays the caller's to dispose of. */
  readonly scalar: SecretBuffer;
  /** `04 ‖ X ‖ Y` of the same key. */
  readonly publicKey: Buffer;
  readonly pincode: SecretBuffer;
}

/** A private key as text, and what must fit it. */
export interface PrivateKeyToOpen {
  /** In either form; white space around it is passed over. It is ciphertext, not a secret. */
  readonly text: string;
  readonly publicKey: Buffer;
  readonly pincode: SecretBuffer;
}

/** The longest text that is looked at, in characters. */
export const maxPrivateKeyTextCharacters = 1024;

/**
 * Encrypts a private key under a pincode (half a second of scrypt, 128 MiB), and opens it again before it is handed out.
 *
 * @throws {RangeError} When `publicKey` is not that of `scalar`.
 * @throws {DatabaseError} `PINCODE_INVALID` for an empty pincode.
 */
export async function sealPrivateKey(key: PrivateKeyToSeal, form: PrivateKeyForm): Promise<string> {
  if (key.pincode.byteLength === 0) throw new DatabaseError("PINCODE_INVALID", "an empty pincode is refused");
  if (!isPairOf(key.scalar, key.publicKey)) throw new RangeError("the public key is not that of the scalar");
  const text = await (form === "v1" ? sealWithSaltOfPublicKey(key) : sealContainer(key));
  using opened = await openPrivateKey({ text, publicKey: key.publicKey, pincode: key.pincode });
  if (!opened.equals(key.scalar)) throw new Error("the private key does not open as it was sealed");
  return text;
}

/**
 * Opens a private key of either form. What comes out has been proved to be the private half of `publicKey`, by computing the
 * public key anew; nothing else needs to be opened to learn that a pincode is wrong.
 *
 * @returns The scalar, 32 bytes. The caller disposes of it.
 * @throws {DatabaseError} `PRIVATE_KEY_REFUSED`: one error for a wrong pincode, another public key, and an altered or
 *   malformed text.
 */
export async function openPrivateKey({ text, publicKey, pincode }: PrivateKeyToOpen): Promise<SecretBuffer> {
  const trimmed = text.length > maxPrivateKeyTextCharacters ? "" : text.trim();
  const scalar =
    pincode.byteLength === 0
      ? undefined
      : await (isContainer(trimmed)
          ? openContainer({ text: trimmed, publicKey, pincode })
          : openWithSaltOfPublicKey({ text: trimmed, publicKey, pincode }));
  if (scalar !== undefined && isPairOf(scalar, publicKey)) return scalar;
  scalar?.[Symbol.dispose]();
  throw new DatabaseError("PRIVATE_KEY_REFUSED");
}

function isPairOf(scalar: SecretBuffer, publicKey: Buffer): boolean {
  if (scalar.byteLength !== scalarBytes) return false;
  try {
    const computed = publicKeyOf("sm2", scalar);
    return computed.length === publicKey.length && timingSafeEqual(computed, publicKey);
  } catch (error) {
    // A wrong pincode may give a number that is out of range.
    if (error instanceof CryptoError) return false;
    throw error;
  }
}
