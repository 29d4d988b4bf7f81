import { type WeierstrassPointCons, weierstrass } from "@noble/curves/abstract/weierstrass.js";

/** The recommended curve of GM/T 0003.5-2012 (GB/T 32918.5-2017), y² = x³ + ax + b over F(p), order n, cofactor 1. */
const parameters = {
  p: 0xfffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffffn,
  a: 0xfffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffcn,
  b: 0x28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93n,
  Gx: 0x32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7n,
  Gy: 0xbc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0n,
  n: 0xfffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123n,
  h: 1n,
};

/** a ‖ b ‖ xG ‖ yG, as ZA hashes them. */
export const sm2CurveBytes: Buffer = Buffer.concat(
  [parameters.a, parameters.b, parameters.Gx, parameters.Gy].map((value) => bytesOf(value)),
);

/**
 * Points of the SM2 curve by @noble/curves, for what OpenSSL does not offer through Node. noble is not constant-time:
 * private scalars come here blinded.
 */
export const Sm2Point: WeierstrassPointCons<bigint> = weierstrass(parameters);

/** 32 bytes, big-endian. */
export function bytesOf(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, "0"), "hex");
}

/** The number of big-endian bytes. A BigInt can't be wiped: for a secret, keep it short-lived. */
export function numberOf(bytes: Buffer): bigint {
  let value = 0n;
  for (let at = 0; at < bytes.length; at += 8) value = (value << 64n) | bytes.readBigUInt64BE(at);
  return value;
}
