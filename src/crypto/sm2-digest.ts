/**
 * SM2 over a digest that someone else has made (e = SM3(ZA ‖ message)), as GM/T 0018 devices sign. Node gives OpenSSL no
 * way to do that, so the modular arithmetic is here; with a message at hand, `sm2Sign` does all of it inside OpenSSL.
 */

import { checkPublicKey, generateKeyPair, publicKeyOf } from "./curve.ts";
import { kernelRandomBytes } from "./kernel-random.ts";
import type { SecretBuffer } from "./secret-buffer.ts";
import { bytesOf, numberOf, Sm2Point } from "./sm2-curve.ts";

export const sm2DigestBytes = 32;

/**
 * Signs a 32-byte digest; returns r ‖ s (64 bytes).
 *
 * k·G is computed by OpenSSL. The scalar is used only multiplied by a random blind, since BigInt arithmetic is not
 * constant-time; it and k are BigInts for the length of the call, which can't be wiped.
 *
 * @throws {RangeError} For a digest of another length.
 * @throws {CryptoError} `KEY_FORMAT_INVALID` for a scalar out of range.
 */
export function sm2SignDigest(scalar: SecretBuffer, digest: Uint8Array): Buffer {
  const e = numberOf(checkedDigest(digest));
  publicKeyOf("sm2", scalar);
  const field = Sm2Point.Fn;
  for (;;) {
    const ephemeral = generateKeyPair("sm2");
    using kBytes = ephemeral.scalar;
    const k = kBytes.expose(numberOf);
    const x1 = numberOf(ephemeral.publicKey.subarray(1, 33));
    const r = field.create(e + x1);
    if (r === 0n || field.create(r + k) === 0n) continue;
    const blind = randomNonZero();
    const blinded = scalar.expose((bytes) => field.mul(numberOf(bytes), blind));
    // s = (1 + d)⁻¹ · (k − r·d), with numerator and denominator both multiplied by the blind.
    const numerator = field.sub(field.mul(k, blind), field.mul(r, blinded));
    const s = field.mul(numerator, field.inv(field.add(blind, blinded)));
    if (s !== 0n) return Buffer.concat([bytesOf(r), bytesOf(s)]);
  }
}

/**
 * True when r ‖ s (64 bytes) signs the 32-byte digest: (e + x1) mod n = r, with (x1, y1) = s·G + (r + s)·P.
 *
 * @throws {RangeError} For a digest of another length.
 * @throws {CryptoError} `KEY_FORMAT_INVALID` when `publicKey` is not a point of the curve.
 */
export function sm2VerifyDigest(publicKey: Uint8Array, digest: Uint8Array, signature: Uint8Array): boolean {
  checkPublicKey("sm2", publicKey);
  const e = numberOf(checkedDigest(digest));
  if (signature.length !== 64) return false;
  const { Fn: field, BASE } = Sm2Point;
  const r = numberOf(Buffer.from(signature.subarray(0, 32)));
  const s = numberOf(Buffer.from(signature.subarray(32)));
  if (!field.isValidNot0(r) || !field.isValidNot0(s)) return false;
  const t = field.add(r, s);
  if (t === 0n) return false;
  const point = BASE.mulAddUnsafe(s, Sm2Point.fromBytes(publicKey), t);
  return !point.is0() && field.create(e + point.x) === r;
}

function checkedDigest(digest: Uint8Array): Buffer {
  if (digest.length !== sm2DigestBytes)
    throw new RangeError(`an SM2 digest has ${sm2DigestBytes} bytes, got ${digest.length}`);
  return Buffer.from(digest);
}

/** Uniform enough for a blind: 384 random bits mod n, never 0. */
function randomNonZero(): bigint {
  for (;;) {
    const value = Sm2Point.Fn.create(numberOf(kernelRandomBytes(48)));
    if (value !== 0n) return value;
  }
}
