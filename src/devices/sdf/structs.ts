/**
 * The structures of GM/T 0018-2012 section 5.4 as bytes: little-endian numbers, 512-bit fields that hold 256-bit values
 * right-aligned. What goes to a library has its padding zeroed; what comes from one has its padding checked, since a number
 * in the padding means that the library's structures are others than the profile says.
 */
import type { EccCipherLayout } from "./profiles.ts";

/** Bytes of the structures whose size all vendors share. */
export const structBytes = { deviceInfo: 100, publicKey: 132, signature: 128 } as const;

const fieldBytes = 64;
const valueBytes = 32;
const paddingBytes = fieldBytes - valueBytes;
const sm2Bits = 256;
/** A point of a ciphertext in the form of src/crypto: `04 ‖ x ‖ y`. */
const c1Bytes = 1 + 2 * valueBytes;
const c3Bytes = 32;
/** Where C2 begins in `04 ‖ x ‖ y ‖ C3 ‖ C2`. */
export const c2Start: number = c1Bytes + c3Bytes;

/** A structure of a library that is not what its profile says. Names the structure, and never its bytes. */
export class StructMismatch extends Error {
  override readonly name = "StructMismatch";
}

/** ECCrefPublicKey: `bits` (u32) ‖ x[64] ‖ y[64]. @param key - X ‖ Y, 64 bytes. @throws {RangeError} */
export function packPublicKey(key: Uint8Array): Buffer {
  if (key.length !== 2 * valueBytes) throw new RangeError(`an SM2 public key is X and Y, 64 bytes, got ${key.length}`);
  const image = Buffer.alloc(structBytes.publicKey);
  image.writeUInt32LE(sm2Bits, 0);
  image.set(key.subarray(0, valueBytes), 4 + paddingBytes);
  image.set(key.subarray(valueBytes), 4 + fieldBytes + paddingBytes);
  return image;
}

/** X ‖ Y (64 bytes) of an ECCrefPublicKey. Whether it is a point of the curve is for the caller to check. @throws {StructMismatch} */
export function unpackPublicKey(image: Uint8Array): Buffer {
  const bytes = viewOf(image, structBytes.publicKey, "ECCrefPublicKey");
  const bits = bytes.readUInt32LE(0);
  if (bits !== sm2Bits) throw new StructMismatch(`ECCrefPublicKey says ${bits} bits, an SM2 key has ${sm2Bits}`);
  return Buffer.concat([value(bytes, 4, "ECCrefPublicKey.x"), value(bytes, 4 + fieldBytes, "ECCrefPublicKey.y")]);
}

/** ECCSignature: r[64] ‖ s[64]. @param signature - r ‖ s, 64 bytes. @throws {RangeError} */
export function packSignature(signature: Uint8Array): Buffer {
  if (signature.length !== 2 * valueBytes)
    throw new RangeError(`an SM2 signature is r and s, 64 bytes, got ${signature.length}`);
  const image = Buffer.alloc(structBytes.signature);
  image.set(signature.subarray(0, valueBytes), paddingBytes);
  image.set(signature.subarray(valueBytes), fieldBytes + paddingBytes);
  return image;
}

/** r ‖ s (64 bytes) of an ECCSignature. @throws {StructMismatch} */
export function unpackSignature(image: Uint8Array): Buffer {
  const bytes = viewOf(image, structBytes.signature, "ECCSignature");
  const signature = Buffer.allocUnsafeSlow(2 * valueBytes);
  signature.set(value(bytes, 0, "ECCSignature.r"), 0);
  signature.set(value(bytes, fieldBytes, "ECCSignature.s"), valueBytes);
  return signature;
}

/** Bytes to give a library for an ECCCipher whose C2 has this many bytes. @throws {RangeError} When the layout holds fewer. */
export function cipherBytes(layout: EccCipherLayout, c2Bytes: number): number {
  if (c2Bytes < 1 || c2Bytes > layout.maxC2Bytes)
    throw new RangeError(`an ECCCipher of this profile holds 1 to ${layout.maxC2Bytes} bytes, got ${c2Bytes}`);
  const c2Room = layout.c2Fixed ? layout.maxC2Bytes : c2Bytes;
  return Math.max(layout.c + c2Room, layout.m + layout.mFieldBytes);
}

/**
 * An ECCCipher of a layout.
 *
 * @param ciphertext - `04 ‖ x ‖ y ‖ C3 ‖ C2`, the raw form of `sm2Encrypt`.
 * @throws {RangeError} When it is not of that form, or too long for the layout.
 */
export function packCipher(layout: EccCipherLayout, ciphertext: Uint8Array): Buffer {
  if (ciphertext.length <= c2Start || ciphertext[0] !== 4)
    throw new RangeError("an SM2 ciphertext is 04, x, y, C3 and C2");
  const c2 = ciphertext.subarray(c2Start);
  const image = Buffer.alloc(cipherBytes(layout, c2.length));
  image.set(ciphertext.subarray(1, 1 + valueBytes), layout.x + paddingBytes);
  image.set(ciphertext.subarray(1 + valueBytes, c1Bytes), layout.y + paddingBytes);
  image.set(ciphertext.subarray(c1Bytes, c2Start), layout.m);
  image.writeUInt32LE(c2.length, layout.length);
  image.set(c2, layout.c);
  return image;
}

/**
 * `04 ‖ x ‖ y ‖ C3 ‖ C2` of an ECCCipher.
 *
 * @param image - The structure; what follows it is not looked at.
 * @param c2Bytes - How long C2 must be.
 * @throws {StructMismatch} When its length is another, or its padding is not zero.
 */
export function unpackCipher(layout: EccCipherLayout, image: Uint8Array, c2Bytes: number): Buffer {
  const bytes = viewOf(image.subarray(0, cipherBytes(layout, c2Bytes)), cipherBytes(layout, c2Bytes), "ECCCipher");
  const length = bytes.readUInt32LE(layout.length);
  if (length !== c2Bytes)
    throw new StructMismatch(`the length in ECCCipher says ${length} bytes where ${c2Bytes} were encrypted`);
  const c3End = layout.m + c3Bytes;
  if (!isZero(bytes.subarray(c3End, layout.m + layout.mFieldBytes)))
    throw new StructMismatch("the padding of ECCCipher.M is not zero");
  return Buffer.concat([
    Buffer.of(4),
    value(bytes, layout.x, "ECCCipher.x"),
    value(bytes, layout.y, "ECCCipher.y"),
    bytes.subarray(layout.m, c3End),
    bytes.subarray(layout.c, layout.c + c2Bytes),
  ]);
}

/** What DEVICEINFO says; texts are printable ASCII, other bytes shown as `?`. */
export interface SdfDeviceInfo {
  readonly maker: string;
  readonly name: string;
  readonly serial: string;
  readonly deviceVersion: number;
  readonly standardVersion: number;
  readonly asymmetricAbility: readonly [number, number];
  readonly symmetricAbility: number;
  readonly hashAbility: number;
  readonly bufferBytes: number;
}

/** DEVICEINFO: IssuerName[40] ‖ DeviceName[16] ‖ DeviceSerial[16] ‖ seven u32. @throws {StructMismatch} */
export function unpackDeviceInfo(image: Uint8Array): SdfDeviceInfo {
  const bytes = viewOf(image, structBytes.deviceInfo, "DEVICEINFO");
  return {
    maker: text(bytes.subarray(0, 40)),
    name: text(bytes.subarray(40, 56)),
    serial: text(bytes.subarray(56, 72)),
    deviceVersion: bytes.readUInt32LE(72),
    standardVersion: bytes.readUInt32LE(76),
    asymmetricAbility: [bytes.readUInt32LE(80), bytes.readUInt32LE(84)],
    symmetricAbility: bytes.readUInt32LE(88),
    hashAbility: bytes.readUInt32LE(92),
    bufferBytes: bytes.readUInt32LE(96),
  };
}

function viewOf(image: Uint8Array, byteLength: number, what: string): Buffer {
  if (image.length !== byteLength) throw new StructMismatch(`${what} has ${byteLength} bytes, got ${image.length}`);
  return Buffer.from(image.buffer, image.byteOffset, image.byteLength);
}

/** The 32 bytes at the right end of a 64-byte field. */
function value(bytes: Buffer, at: number, what: string): Buffer {
  if (!isZero(bytes.subarray(at, at + paddingBytes))) throw new StructMismatch(`the padding of ${what} is not zero`);
  return bytes.subarray(at + paddingBytes, at + fieldBytes);
}

function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false;
  return true;
}

function text(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes
    .toString("latin1", 0, end < 0 ? bytes.length : end)
    .replace(/[^\x20-\x7e]/g, "?")
    .trim();
}
