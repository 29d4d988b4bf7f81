import { timingSafeEqual } from "node:crypto";
import type { Context } from "./context.ts";
import { CryptoError } from "./errors.ts";
import { kernelRandomBytes } from "./kernel-random.ts";
import { type EncodedContext, encodedContext } from "./known-contexts.ts";
import type { SecretBuffer } from "./secret-buffer.ts";
import { aeadOpen, aeadSeal, hkdf, nonceBytes, type Suite, suiteById, suiteHash, tagBytes } from "./suite.ts";

/** What a box holds. The number is its byte in the header, so a box of one type never opens as another. */
export const boxTypes = { dataKey: 1, file: 2, volume: 3, keySlot: 4, masterKey: 5, state: 6 } as const;
export type BoxType = keyof typeof boxTypes;

/**
 * Where the secret S of a box comes from. `soft`: the master-key version itself; `dataKey`: a node's own data key (sealed
 * files); `passphrase`, `keyFile`: what fills a key slot; `root`: a secret derived from the key manager's root key. In all
 * of these the device blob is empty. `awsKms`: 32 random bytes that an upstream KMS wraps; the blob is its `CiphertextBlob`.
 * `sdfSm2Envelope`, `sdfSm4Kek`, `pkcs11`: the same, wrapped by a cipher card or a token in this machine.
 */
export const deviceAlgorithms = {
  soft: 1,
  dataKey: 2,
  passphrase: 3,
  keyFile: 4,
  root: 5,
  awsKms: 6,
  sdfSm2Envelope: 7,
  pkcs11: 8,
  sdfSm4Kek: 9,
} as const;

/** The largest plaintext of a box: whole key files fit, bulk data belongs in a volume. */
export const maxBoxPlaintextBytes: number = 1 << 20;

export interface BoxHeader {
  readonly suite: Suite;
  readonly type: BoxType;
  /** UUID in its usual text form. */
  readonly keyId: string;
  /** From 1. */
  readonly keyVersion: number;
  readonly deviceAlgorithm: number;
  /** S wrapped by the device; empty for `soft`. At most 65 535 bytes. */
  readonly deviceBlob: Uint8Array;
}

const magic = Buffer.from("SRBX");
const format = 1;
const saltBytes = 32;
const commitmentBytes = 32;
const minSecretBytes = 16;
const fixedBytes = 4 + 1 + 1 + 1 + 16 + 4 + 1 + 2;
const label = Buffer.from("strongroom/box/v1");
const typeNames = new Map<number, BoxType>(Object.entries(boxTypes).map(([name, id]) => [id, name as BoxType]));

/**
 * Seals `plaintext` under secret S and a context.
 *
 *     header:  "SRBX" (4) ‖ format = 1 (1) ‖ suite (1) ‖ box type (1) ‖ key id (16) ‖ key version (u32)
 *              ‖ device algorithm (1) ‖ device blob length (u16) ‖ device blob ‖ salt (32)
 *     body:    commitment (32) ‖ nonce (12) ‖ ciphertext ‖ tag (16)
 *
 *     key ‖ commitment = HKDF-Expand(HKDF-Extract(salt, S), "strongroom/box/v1" ‖ H(header) ‖ H(context))
 *     associated data  = header ‖ commitment ‖ context
 *
 * H is SHA-256 (suite intl) or SM3 (suite sm); numbers are big-endian; docs/formats.md has worked examples.
 *
 * @throws {RangeError} For a plaintext over 1 MiB, a device blob over 65 535 bytes, a key version that is not 1 to 2^32 - 1,
 *   or a secret under 16 bytes.
 * @throws {CryptoError} `CONTEXT_INVALID`.
 */
export function sealBox(header: BoxHeader, secret: SecretBuffer, context: Context, plaintext: Uint8Array): Buffer {
  const random = kernelRandomBytes(saltBytes + nonceBytes);
  const [salt, nonce] = [random.subarray(0, saltBytes), random.subarray(saltBytes)];
  return sealBoxWithGivenRandomness(header, secret, context, plaintext, salt, nonce);
}

/**
 * {@link sealBox} with the salt (32 bytes) and nonce (12) given: only for test vectors. A salt and nonce used twice under one
 * secret give away the key stream.
 */
export function sealBoxWithGivenRandomness(
  header: BoxHeader,
  secret: SecretBuffer,
  context: Context,
  plaintext: Uint8Array,
  salt: Uint8Array,
  nonce: Uint8Array,
): Buffer {
  if (salt.length !== saltBytes || nonce.length !== nonceBytes)
    throw new RangeError(`a sealed box takes a salt of ${saltBytes} bytes and a nonce of ${nonceBytes}`);
  if (secret.byteLength < minSecretBytes)
    throw new RangeError(`the secret of a sealed box has at least ${minSecretBytes} bytes, got ${secret.byteLength}`);
  if (plaintext.length > maxBoxPlaintextBytes)
    throw new RangeError(`a sealed box holds at most ${maxBoxPlaintextBytes} bytes, got ${plaintext.length}`);
  const encodedHeader = encodeHeader(header, salt);
  const bound = encodedContext(header.suite, context);
  using keys = boxKeys(header.suite, secret, encodedHeader, bound.hash);
  return keys.expose((bytes) => {
    const commitment = Buffer.from(bytes.subarray(header.suite.keyBytes));
    const aad = Buffer.concat([encodedHeader, commitment, bound.bytes]);
    const sealed = aeadSeal(header.suite, bytes.subarray(0, header.suite.keyBytes), nonce, aad, plaintext);
    return Buffer.concat([encodedHeader, commitment, nonce, sealed]);
  });
}

/**
 * Reads the header that names the key; nothing in it is trusted until {@link openBox} has succeeded.
 *
 * @throws {CryptoError} `BOX_REFUSED` for anything that is not a whole, well-formed box.
 */
export function readBoxHeader(box: Uint8Array): BoxHeader {
  return readBox(box).header;
}

/**
 * Opens a box of the given type. The caller disposes of the result.
 *
 * @throws {CryptoError} `BOX_REFUSED`: one error for a changed bit, a cut, another context, another key, another type.
 */
export function openBox(box: Uint8Array, type: BoxType, secret: SecretBuffer, context: Context): SecretBuffer {
  return openReadBox(readBox(box), type, secret, context);
}

/** {@link openBox} for a box whose header was needed first, to find the secret. Same refusals. */
export function openReadBox(box: ReadBox, type: BoxType, secret: SecretBuffer, context: Context): SecretBuffer {
  return openBoundBox(box, type, secret, encodedContext(box.header.suite, context));
}

/** {@link openReadBox} with the context encoded before, by {@link encodedContext} for the box's suite. Same refusals. */
export function openBoundBox(box: ReadBox, type: BoxType, secret: SecretBuffer, bound: EncodedContext): SecretBuffer {
  const { header, encodedHeader, commitment, nonce, sealed } = box;
  if (header.type !== type) throw new CryptoError("BOX_REFUSED");
  using keys = boxKeys(header.suite, secret, encodedHeader, bound.hash);
  const opened = keys.expose((bytes) => {
    if (!timingSafeEqual(bytes.subarray(header.suite.keyBytes), commitment)) return undefined;
    const aad = Buffer.concat([encodedHeader, commitment, bound.bytes]);
    return aeadOpen(header.suite, bytes.subarray(0, header.suite.keyBytes), nonce, aad, sealed);
  });
  if (opened === undefined) throw new CryptoError("BOX_REFUSED");
  return opened;
}

function boxKeys(suite: Suite, secret: SecretBuffer, encodedHeader: Buffer, contextHash: Buffer): SecretBuffer {
  const salt = encodedHeader.subarray(encodedHeader.length - saltBytes);
  const info = Buffer.concat([label, suiteHash(suite, encodedHeader), contextHash]);
  return hkdf(suite, secret, salt, info, suite.keyBytes + commitmentBytes);
}

function encodeHeader(header: BoxHeader, salt: Uint8Array): Buffer {
  if (header.deviceBlob.length > 0xffff)
    throw new RangeError(`a device blob has at most 65535 bytes, got ${header.deviceBlob.length}`);
  if (!Number.isInteger(header.keyVersion) || header.keyVersion < 1)
    throw new RangeError(`a key version is a whole number from 1, got ${header.keyVersion}`);
  const fixed = Buffer.alloc(fixedBytes);
  magic.copy(fixed, 0);
  fixed.writeUInt8(format, 4);
  fixed.writeUInt8(header.suite.id, 5);
  fixed.writeUInt8(boxTypes[header.type], 6);
  uuidToBytes(header.keyId).copy(fixed, 7);
  fixed.writeUInt32BE(header.keyVersion, 23);
  fixed.writeUInt8(header.deviceAlgorithm, 27);
  fixed.writeUInt16BE(header.deviceBlob.length, 28);
  return Buffer.concat([fixed, header.deviceBlob, salt]);
}

/** A box taken apart; nothing in it is trusted until it has been opened. */
export interface ReadBox {
  readonly whole: Buffer;
  readonly header: BoxHeader;
  readonly encodedHeader: Buffer;
  readonly commitment: Buffer;
  readonly nonce: Buffer;
  readonly sealed: Buffer;
}

/**
 * Takes a box apart, by views on its bytes.
 *
 * @throws {CryptoError} `BOX_REFUSED` for anything that is not a whole, well-formed box.
 */
export function readBox(input: Uint8Array): ReadBox {
  const box = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const refused = () => new CryptoError("BOX_REFUSED");
  if (box.length < fixedBytes || !box.subarray(0, 4).equals(magic) || box.readUInt8(4) !== format) throw refused();
  const suite = suiteById(box.readUInt8(5));
  const type = typeNames.get(box.readUInt8(6));
  const keyVersion = box.readUInt32BE(23);
  if (suite === undefined || type === undefined || keyVersion === 0) throw refused();
  const blobEnd = fixedBytes + box.readUInt16BE(28);
  const headerEnd = blobEnd + saltBytes;
  const nonceStart = headerEnd + commitmentBytes;
  const sealedStart = nonceStart + nonceBytes;
  if (box.length < sealedStart + tagBytes || box.length > sealedStart + tagBytes + maxBoxPlaintextBytes)
    throw refused();
  return {
    whole: box,
    header: {
      suite,
      type,
      keyId: bytesToUuid(box.subarray(7, 23)),
      keyVersion,
      deviceAlgorithm: box.readUInt8(27),
      deviceBlob: box.subarray(fixedBytes, blobEnd),
    },
    encodedHeader: box.subarray(0, headerEnd),
    commitment: box.subarray(headerEnd, nonceStart),
    nonce: box.subarray(nonceStart, sealedStart),
    sealed: box.subarray(sealedStart),
  };
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function uuidToBytes(uuid: string): Buffer {
  if (!uuidPattern.test(uuid)) throw new RangeError("a key id is a lower-case UUID");
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}

function bytesToUuid(bytes: Buffer): string {
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
