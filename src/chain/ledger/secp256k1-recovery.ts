import { secp256k1 } from "@noble/curves/secp256k1.js";

/**
 * The public key (`04 ‖ X ‖ Y`) that has signed a hash of 32 bytes (SEC 1, 4.1.6); undefined for a signature that is no one's.
 *
 * @param signature - r ‖ s ‖ v, 65 bytes; of s and n − s only the lower is taken, v is 0 or 1.
 */
export type Recover = (hash: Uint8Array, signature: Uint8Array) => Buffer | undefined;

type Pointer = unknown;

/** The functions of OpenSSL that are called (EC_POINT_mul(3), BN_mod_mul(3)), as they lie in Node's own binary. */
interface Openssl {
  readPoint(group: Pointer, point: Pointer, bytes: Buffer, length: number, context: Pointer): number;
  writePoint(group: Pointer, point: Pointer, form: number, out: Buffer, length: number, context: Pointer): number;
  /** `result = generatorTimes · G + times · point`. */
  multiply(
    group: Pointer,
    result: Pointer,
    generatorTimes: Pointer,
    point: Pointer,
    times: Pointer,
    context: Pointer,
  ): number;
  readNumber(bytes: Uint8Array, length: number, into: Pointer): Pointer;
  invert(into: Pointer, number: Pointer, modulus: Pointer, context: Pointer): Pointer;
  multiplyNumbers(into: Pointer, one: Pointer, other: Pointer, modulus: Pointer, context: Pointer): number;
  subtract(into: Pointer, from: Pointer, number: Pointer): number;
  clearErrors(): void;
}

const secp256k1Nid = 714; // NID_secp256k1, openssl/obj_mac.h
const uncompressed = 4; // POINT_CONVERSION_UNCOMPRESSED, openssl/ec.h
const pointBytes = 65;
const hashBytes = 32;
const order = Buffer.from("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", "hex");
const halfOrder = Buffer.from("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0", "hex");
const zero = Buffer.alloc(hashBytes);

let fastest: Recover = recoverByNoble;
let isAsked = false;

/**
 * Recovers with OpenSSL, in a fifth of noble's time, once it is loaded and has given noble's answers; with noble until then, and
 * where that never comes.
 */
export const recoverPublicKey: Recover = (hash, signature) => {
  if (!isAsked) {
    isAsked = true;
    loadOpensslRecovery().then(
      (recover) => {
        fastest = recover ?? recoverByNoble;
      },
      () => {},
    );
  }
  return fastest(hash, signature);
};

export function recoverByNoble(hash: Uint8Array, signature: Uint8Array): Buffer | undefined {
  if (!isCanonical(hash, signature)) return undefined;
  try {
    const parsed = secp256k1.Signature.fromBytes(signature.subarray(0, 64), "compact");
    return Buffer.from(
      parsed
        .addRecoveryBit(signature[64] ?? 0)
        .recoverPublicKey(hash)
        .toBytes(false),
    );
  } catch {
    return undefined; // r is no x of a point.
  }
}

/** Undefined where its answers differ. Rejects when OpenSSL's functions can't be loaded. */
export async function loadOpensslRecovery(): Promise<Recover | undefined> {
  if (!process.versions.openssl?.startsWith("3.")) return undefined;
  const { default: koffi } = await import("koffi");
  const own = koffi.load(null);
  const openssl: Openssl = {
    readPoint: own.func("int EC_POINT_oct2point(void *, void *, uint8_t *, size_t, void *)"),
    writePoint: own.func("size_t EC_POINT_point2oct(void *, void *, int, uint8_t *, size_t, void *)"),
    multiply: own.func("int EC_POINT_mul(void *, void *, void *, void *, void *, void *)"),
    readNumber: own.func("void *BN_bin2bn(uint8_t *, int, void *)"),
    invert: own.func("void *BN_mod_inverse(void *, void *, void *, void *)"),
    multiplyNumbers: own.func("int BN_mod_mul(void *, void *, void *, void *, void *)"),
    subtract: own.func("int BN_sub(void *, void *, void *)"),
    clearErrors: own.func("void ERR_clear_error()"),
  };
  const group: Pointer = own.func("void *EC_GROUP_new_by_curve_name(int)")(secp256k1Nid);
  const newPoint: (group: Pointer) => Pointer = own.func("void *EC_POINT_new(void *)");
  const newNumber: () => Pointer = own.func("void *BN_new()");
  const context: Pointer = own.func("void *BN_CTX_new()")();
  // Made once and kept: one call of the function uses them at a time.
  const [nonce, key] = [newPoint(group), newPoint(group)];
  const [r, s, e, n, inverse, u1, u2] = Array.from({ length: 7 }, newNumber);
  if ([group, nonce, key, context, r, s, e, n, inverse, u1, u2].some((pointer) => !pointer)) return undefined;
  openssl.readNumber(order, order.length, n);

  const recover: Recover = (hash, signature) => {
    if (!isCanonical(hash, signature)) return undefined;
    const nonceBytes = Buffer.concat([Buffer.of(2 + (signature[64] ?? 0)), signature.subarray(0, 32)]);
    const out = Buffer.alloc(pointBytes);
    try {
      // Q = r⁻¹ (s R − e G), where R is the point with x = r and y of v's parity.
      if (openssl.readPoint(group, nonce, nonceBytes, nonceBytes.length, context) !== 1) return undefined;
      openssl.readNumber(signature.subarray(0, 32), 32, r);
      openssl.readNumber(signature.subarray(32, 64), 32, s);
      openssl.readNumber(hash, hashBytes, e);
      const done =
        openssl.invert(inverse, r, n, context) !== null &&
        openssl.multiplyNumbers(u2, s, inverse, n, context) === 1 &&
        openssl.multiplyNumbers(u1, e, inverse, n, context) === 1 &&
        openssl.subtract(u1, n, u1) === 1 &&
        openssl.multiply(group, key, u1, nonce, u2, context) === 1 &&
        Number(openssl.writePoint(group, key, uncompressed, out, pointBytes, context)) === pointBytes;
      return done ? out : undefined;
    } finally {
      openssl.clearErrors();
    }
  };
  return agreesWithNoble(recover) ? recover : undefined;
}

/** Lengths and ranges: r and s are from 1 to n − 1, s at most n / 2. */
function isCanonical(hash: Uint8Array, signature: Uint8Array): boolean {
  if (hash.length !== hashBytes || signature.length !== 65 || (signature[64] ?? 2) > 1) return false;
  const [r, s] = [Buffer.from(signature.subarray(0, 32)), Buffer.from(signature.subarray(32, 64))];
  return !r.equals(zero) && r.compare(order) < 0 && !s.equals(zero) && s.compare(halfOrder) <= 0;
}

function agreesWithNoble(recover: Recover): boolean {
  const hash = Buffer.alloc(hashBytes, 0xa5);
  return [1, 2, 3, 4, 5, 6].every((r) =>
    [0, 1].every((v) => {
      const signature = Buffer.alloc(65);
      signature[31] = r;
      signature[63] = 7;
      signature[64] = v;
      const [own, nobles] = [recover(hash, signature), recoverByNoble(hash, signature)];
      return own === undefined ? nobles === undefined : nobles?.equals(own) === true;
    }),
  );
}
