import { hash, timingSafeEqual } from "node:crypto";
import { checkPublicKey, generateKeyPair, publicKeyBytes, publicKeyOf } from "./curve.ts";
import { DerReader, der, derTags, derUnsigned } from "./der.ts";
import { CryptoError } from "./errors.ts";
import { kernelRandomBytes } from "./kernel-random.ts";
import { SecretBuffer } from "./secret-buffer.ts";
import { bytesOf, numberOf, Sm2Point } from "./sm2-curve.ts";

/**
 * `raw`: C1 (65, `04 ‖ x ‖ y`) ‖ C3 (32) ‖ C2, the order of GB/T 32918.4-2016.
 * `asn1`: SEQUENCE { INTEGER x, INTEGER y, OCTET STRING C3, OCTET STRING C2 } of GM/T 0009-2012.
 */
export type Sm2CiphertextForm = "raw" | "asn1";

/** SM2 encrypts keys, not data. */
export const maxSm2PlaintextBytes: number = 1 << 16;
const c3Bytes = 32;

type Point = ReturnType<typeof Sm2Point.fromBytes>;

/**
 * Encrypts to a public key (GM/T 0003.4-2012). Anyone can: a ciphertext proves nothing about who made it.
 *
 * @param publicKey - `04 ‖ X ‖ Y`, 65 bytes.
 * @param plaintext - 1 to 65 536 bytes.
 * @throws {RangeError} For a plaintext of another length.
 * @throws {CryptoError} `KEY_FORMAT_INVALID` when `publicKey` is not a point of the curve.
 */
export function sm2Encrypt(publicKey: Uint8Array, plaintext: Uint8Array, form: Sm2CiphertextForm = "raw"): Buffer {
  checkPublicKey("sm2", publicKey);
  return encryptToPoint(Sm2Point.fromBytes(publicKey), plaintext, form);
}

/** Whom many plaintexts are encrypted to: multiples of its point are computed once, which makes each some times as fast. */
export class Sm2Recipient {
  readonly #point: Point;

  /** @param publicKey - `04 ‖ X ‖ Y`. @throws {CryptoError} `KEY_FORMAT_INVALID` when it is not a point of the curve. */
  constructor(publicKey: Uint8Array) {
    checkPublicKey("sm2", publicKey);
    this.#point = Sm2Point.fromBytes(publicKey).precompute(8);
  }

  /** As {@link sm2Encrypt}. @throws {RangeError} For a plaintext of another length. */
  encrypt(plaintext: Uint8Array, form: Sm2CiphertextForm = "raw"): Buffer {
    return encryptToPoint(this.#point, plaintext, form);
  }
}

function encryptToPoint(point: Point, plaintext: Uint8Array, form: Sm2CiphertextForm): Buffer {
  if (plaintext.length === 0 || plaintext.length > maxSm2PlaintextBytes)
    throw new RangeError(`SM2 encrypts 1 to ${maxSm2PlaintextBytes} bytes, got ${plaintext.length}`);
  for (;;) {
    const ephemeral = generateKeyPair("sm2");
    using k = ephemeral.scalar;
    const parts = encryptOnce(point, { scalar: k, publicKey: ephemeral.publicKey }, plaintext);
    if (parts !== undefined) return form === "raw" ? Buffer.concat([parts.c1, parts.c3, parts.c2]) : toAsn1(parts);
  }
}

/**
 * Decrypts. The point must be on the curve, C3 must match, and the key stream must not be all zero.
 * The caller disposes of the result.
 *
 * The scalar is split into two random summands before noble multiplies with them.
 *
 * @throws {CryptoError} `SM2_REFUSED`: one error for a malformed, altered or foreign ciphertext.
 */
export function sm2Decrypt(
  scalar: SecretBuffer,
  ciphertext: Uint8Array,
  form: Sm2CiphertextForm = "raw",
): SecretBuffer {
  publicKeyOf("sm2", scalar);
  const { c1, c2, c3 } = form === "raw" ? fromRaw(ciphertext) : fromAsn1(ciphertext);
  try {
    checkPublicKey("sm2", c1);
  } catch {
    throw refused();
  }
  using shared = SecretBuffer.take(multiplyBlinded(scalar, c1));
  return shared.expose((point) => {
    const stream = keyStream(point, c2.length);
    const nothingHidden = stream.every((byte) => byte === 0);
    for (let i = 0; i < stream.length; i++) stream[i] = (stream[i] ?? 0) ^ (c2[i] ?? 0);
    const plaintext = SecretBuffer.take(stream);
    const expected = plaintext.expose((bytes) => integrityHash(point, bytes));
    if (timingSafeEqual(expected, c3) && !nothingHidden) return plaintext;
    plaintext[Symbol.dispose]();
    throw refused();
  });
}

export interface Sm2CiphertextParts {
  readonly c1: Buffer;
  readonly c2: Buffer;
  readonly c3: Buffer;
}

/**
 * The three parts under a given ephemeral key pair, for known-answer tests. Undefined when the key stream is all zero, and
 * another pair is needed (GM/T 0003.4 section 6.1, A5).
 */
export function encryptWithEphemeralKey(
  publicKey: Uint8Array,
  ephemeral: { readonly scalar: SecretBuffer; readonly publicKey: Buffer },
  plaintext: Uint8Array,
): Sm2CiphertextParts | undefined {
  return encryptOnce(Sm2Point.fromBytes(publicKey), ephemeral, plaintext);
}

function encryptOnce(
  recipient: Point,
  ephemeral: { readonly scalar: SecretBuffer; readonly publicKey: Buffer },
  plaintext: Uint8Array,
): Sm2CiphertextParts | undefined {
  // Used once, so that timing has nothing to average over: no blinding.
  const { x, y } = recipient.multiply(ephemeral.scalar.expose(numberOf)).toAffine();
  using shared = SecretBuffer.take(Buffer.concat([bytesOf(x), bytesOf(y)]));
  return shared.expose((point) => {
    const c2 = keyStream(point, plaintext.length);
    if (c2.every((byte) => byte === 0)) return undefined;
    for (let i = 0; i < c2.length; i++) c2[i] = (c2[i] ?? 0) ^ (plaintext[i] ?? 0);
    return { c1: ephemeral.publicKey, c2, c3: integrityHash(point, plaintext) };
  });
}

/** x2 ‖ y2 (64 bytes) of scalar · point, as (scalar − b)·point + b·point with b random. */
function multiplyBlinded(scalar: SecretBuffer, point: Uint8Array): Buffer {
  const { Fn: field } = Sm2Point;
  const base = Sm2Point.fromBytes(point);
  for (;;) {
    const blind = field.create(numberOf(kernelRandomBytes(48)));
    const rest = scalar.expose((bytes) => field.sub(numberOf(bytes), blind));
    if (blind === 0n || rest === 0n) continue;
    const { x, y } = base.multiply(rest).add(base.multiply(blind)).toAffine();
    return Buffer.concat([bytesOf(x), bytesOf(y)]);
  }
}

/** KDF of GM/T 0003.4 section 5.4.3: SM3(x2 ‖ y2 ‖ counter) from counter 1, cut to length. */
function keyStream(point: Buffer, byteLength: number): Buffer {
  const stream = Buffer.alloc(byteLength);
  const input = Buffer.alloc(point.length + 4);
  point.copy(input);
  for (let counter = 1, at = 0; at < byteLength; counter++, at += 32) {
    input.writeUInt32BE(counter, point.length);
    const block = hash("sm3", input, "buffer");
    block.copy(stream, at);
    block.fill(0);
  }
  input.fill(0);
  return stream;
}

/** C3 = SM3(x2 ‖ plaintext ‖ y2). */
function integrityHash(point: Buffer, plaintext: Uint8Array): Buffer {
  const input = Buffer.concat([point.subarray(0, 32), plaintext, point.subarray(32)]);
  const digest = hash("sm3", input, "buffer");
  input.fill(0);
  return digest;
}

function fromRaw(ciphertext: Uint8Array): Sm2CiphertextParts {
  const bytes = Buffer.from(ciphertext.buffer, ciphertext.byteOffset, ciphertext.byteLength);
  const c2Start = publicKeyBytes + c3Bytes;
  if (bytes.length <= c2Start || bytes.length > c2Start + maxSm2PlaintextBytes) throw refused();
  return {
    c1: bytes.subarray(0, publicKeyBytes),
    c3: bytes.subarray(publicKeyBytes, c2Start),
    c2: bytes.subarray(c2Start),
  };
}

function fromAsn1(ciphertext: Uint8Array): Sm2CiphertextParts {
  const outer = new DerReader(ciphertext, refused);
  const parts = outer.enter(derTags.sequence);
  outer.end();
  const c1 = Buffer.concat([Buffer.of(4), parts.readUnsigned(32), parts.readUnsigned(32)]);
  const c3 = parts.read(derTags.octetString);
  const c2 = parts.read(derTags.octetString);
  parts.end();
  if (c3.length !== c3Bytes || c2.length === 0 || c2.length > maxSm2PlaintextBytes) throw refused();
  return { c1, c2, c3 };
}

function toAsn1({ c1, c2, c3 }: Sm2CiphertextParts): Buffer {
  const x = derUnsigned(c1.subarray(1, 33));
  const y = derUnsigned(c1.subarray(33));
  return der(derTags.sequence, x, y, der(derTags.octetString, c3), der(derTags.octetString, c2));
}

function refused(): CryptoError {
  return new CryptoError("SM2_REFUSED");
}
