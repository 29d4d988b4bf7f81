import { hash } from "node:crypto";
import { scalarBytes } from "../../crypto/curve.ts";
import { scryptDefaults, scryptKey } from "../../crypto/kdf.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { PrivateKeyToOpen, PrivateKeyToSeal } from "./private-key.ts";

const label = "strongroom/gm-private-key/v1";

/**
 * The form that keeps a private key's length, 64 hex digits of
 *
 *     d ⊕ scrypt(pincode, salt = SM3("strongroom/gm-private-key/v1" ‖ 04 ‖ X ‖ Y), N = 131072, r = 8, p = 1, 32 bytes)
 *
 * There is no room for a salt or a MAC. The public key is the salt: no two keys have one, so the pad of a pincode and a key
 * covers one number only, and guesses for one key are worth nothing for another. The public key is the MAC as well: an altered
 * text, or another pincode, gives another number, whose public key is another.
 */
export async function sealWithSaltOfPublicKey({ scalar, publicKey, pincode }: PrivateKeyToSeal): Promise<string> {
  using pad = await padOf(publicKey, pincode);
  const ciphertext = scalar.expose((number) => pad.expose((bytes) => exclusiveOr(number, bytes)));
  return ciphertext.toString("hex");
}

/** Undefined for what has not the form. Whether the number is the right one is the caller's to find out, and to dispose of it. */
export async function openWithSaltOfPublicKey({
  text,
  publicKey,
  pincode,
}: PrivateKeyToOpen): Promise<SecretBuffer | undefined> {
  if (!/^[0-9a-fA-F]{64}$/.test(text)) return undefined;
  using pad = await padOf(publicKey, pincode);
  return pad.expose((bytes) => SecretBuffer.adopt(exclusiveOr(Buffer.from(text, "hex"), bytes)));
}

function padOf(publicKey: Buffer, pincode: SecretBuffer): Promise<SecretBuffer> {
  const salt = hash("sm3", Buffer.concat([Buffer.from(label), publicKey]), "buffer");
  return scryptKey(pincode, salt, scalarBytes, scryptDefaults);
}

/** In memory of its own. */
function exclusiveOr(left: Buffer, right: Buffer): Buffer {
  const result = Buffer.allocUnsafeSlow(scalarBytes);
  for (let at = 0; at < scalarBytes; at++) result[at] = (left[at] ?? 0) ^ (right[at] ?? 0);
  return result;
}
