import { checkPublicKey } from "../../crypto/curve.ts";
import { CryptoError } from "../../crypto/errors.ts";
import { DatabaseError } from "../errors.ts";

/**
 * Reads an SM2 public key as settings and options hold it: `04 ‖ X ‖ Y` (GM/T 0009-2012) in 130 hex digits of either case.
 *
 * @param called - What the text is, for the message: `public-key`, `--expubkey`.
 * @returns 65 bytes; the point is on the curve.
 * @throws {DatabaseError} `PUBLIC_KEY_INVALID`.
 */
export function parsePublicKey(text: string, called: string): Buffer {
  if (!/^04[0-9a-fA-F]{128}$/.test(text))
    throw new DatabaseError(
      "PUBLIC_KEY_INVALID",
      `${called} takes an SM2 public key, 130 hex digits that begin with 04; it has ${text.length} characters`,
    );
  const publicKey = Buffer.from(text, "hex");
  try {
    checkPublicKey("sm2", publicKey);
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new DatabaseError("PUBLIC_KEY_INVALID", `${called} is not a point of the SM2 curve: is a digit wrong?`, {
      cause,
    });
  }
  return publicKey;
}

/** 130 lower-case hex digits, as {@link parsePublicKey} reads them. */
export function formatPublicKey(publicKey: Buffer): string {
  return publicKey.toString("hex");
}
