import { createHmac, timingSafeEqual } from "node:crypto";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { type Suite, suiteById } from "../crypto/suite.ts";
import { LevelError } from "./errors.ts";
import { checkValueBytes, storeIdBytes } from "./keyring.ts";

/** First bytes of stored keys. Strongroom's own records sort before all entries and are outside every range of them. */
export const ownRecords = 0x00;
export const plainEntries = 0x01;
export const encryptedEntries = 0x02;

/** The stored key of the header record. */
export const headerKey: Buffer = Buffer.concat([Buffer.of(ownRecords), Buffer.from("strongroom/level/header")]);

export interface GenerationMark {
  /** From 1. */
  readonly number: number;
  /** Tells its data key from any other: see `checkValue` in keyring.ts. */
  readonly checkValue: Buffer;
}

export interface Header {
  readonly suite: Suite;
  readonly encryptKeyNames: boolean;
  readonly storeId: Buffer;
  /** One; two, the old one first, while a rotation is unfinished. */
  readonly generations: readonly GenerationMark[];
  /** Entries that the unfinished rotation has sealed again. */
  readonly resealedEntries: number;
  /** The stored key up to which the rotation has come; empty before it begins and with encrypted key names. */
  readonly cursor: Buffer;
}

const magic = Buffer.from("SRLV");
const format = 1;
const flagEncryptKeyNames = 1;
const markBytes = 4 + checkValueBytes;
const fixedBytes = 4 + 1 + 1 + 1 + storeIdBytes + 1;
const headerTagBytes = 32;
/** A rotation that stands at a longer key begins its pass anew when it is resumed. */
export const maxCursorBytes: number = 1 << 16;

/**
 * The header record's bytes.
 *
 *     "SRLV" (4) ‖ format = 1 (1) ‖ suite (1) ‖ flags (1; bit 0: key names encrypted) ‖ store id (16)
 *     ‖ number of generations (1; 1 or 2) ‖ for each: number (u32) ‖ check value (32)
 *     ‖ entries sealed again (u64) ‖ cursor length (u32) ‖ cursor
 *     ‖ for each generation: HMAC (32) of all before the first of them, under its `header` key
 *
 * HMAC is over SHA-256 (suite intl) or SM3 (suite sm); numbers are big-endian.
 *
 * @param headerKeys - The `header` key of each generation, in the same order.
 */
export function encodeHeader(header: Header, headerKeys: readonly SecretBuffer[]): Buffer {
  const fixed = Buffer.alloc(fixedBytes);
  magic.copy(fixed);
  fixed[4] = format;
  fixed[5] = header.suite.id;
  fixed[6] = header.encryptKeyNames ? flagEncryptKeyNames : 0;
  header.storeId.copy(fixed, 7);
  fixed[7 + storeIdBytes] = header.generations.length;
  const marks = header.generations.map(({ number, checkValue }) => Buffer.concat([u32(number), checkValue]));
  const resealed = Buffer.alloc(8);
  resealed.writeBigUInt64BE(BigInt(header.resealedEntries));
  const body = Buffer.concat([fixed, ...marks, resealed, u32(header.cursor.length), header.cursor]);
  return Buffer.concat([body, ...headerKeys.map((key) => headerTag(header.suite, key, body))]);
}

export interface ParsedHeader {
  readonly header: Header;
  readonly body: Buffer;
  readonly tags: readonly Buffer[];
}

/**
 * Reads a header record. Nothing in it is trusted until {@link checkHeaderTag} has passed for every generation.
 *
 * @throws {LevelError} `LEVEL_CORRUPTION` for anything that is not a whole, well-formed header.
 */
export function parseHeader(bytes: Buffer): ParsedHeader {
  const refused = () => new LevelError("LEVEL_CORRUPTION", "the store's header record is altered or cut");
  if (bytes.length < fixedBytes || !bytes.subarray(0, 4).equals(magic)) throw refused();
  if (bytes[4] !== format)
    throw new LevelError("LEVEL_CORRUPTION", `the store's header has format ${bytes[4]}; this program reads ${format}`);
  const suite = suiteById(bytes.readUInt8(5));
  const flags = bytes.readUInt8(6);
  const count = bytes.readUInt8(7 + storeIdBytes);
  const countersStart = fixedBytes + count * markBytes;
  const cursorStart = countersStart + 12;
  if (suite === undefined || flags > flagEncryptKeyNames || count < 1 || count > 2 || bytes.length < cursorStart)
    throw refused();
  const generations = Array.from({ length: count }, (_, index) => {
    const start = fixedBytes + index * markBytes;
    return { number: bytes.readUInt32BE(start), checkValue: bytes.subarray(start + 4, start + markBytes) };
  });
  const [first, second] = generations;
  if (first?.number === 0 || (second !== undefined && second.number !== (first?.number ?? 0) + 1)) throw refused();
  const resealedEntries = bytes.readBigUInt64BE(countersStart);
  const cursorLength = bytes.readUInt32BE(countersStart + 8);
  const tagsStart = cursorStart + cursorLength;
  if (resealedEntries > BigInt(Number.MAX_SAFE_INTEGER) || cursorLength > maxCursorBytes) throw refused();
  if (bytes.length !== tagsStart + count * headerTagBytes) throw refused();
  return {
    header: {
      suite,
      encryptKeyNames: flags === flagEncryptKeyNames,
      storeId: bytes.subarray(7, 7 + storeIdBytes),
      generations,
      resealedEntries: Number(resealedEntries),
      cursor: bytes.subarray(cursorStart, tagsStart),
    },
    body: bytes.subarray(0, tagsStart),
    tags: generations.map((_, index) =>
      bytes.subarray(tagsStart + index * headerTagBytes, tagsStart + (index + 1) * headerTagBytes),
    ),
  };
}

/**
 * Checks one generation's tag over the header.
 *
 * @throws {LevelError} `LEVEL_CORRUPTION` when the header was altered by someone without that generation's data key.
 */
export function checkHeaderTag(parsed: ParsedHeader, index: number, headerKey: SecretBuffer): void {
  const tag = parsed.tags[index];
  if (tag === undefined || !timingSafeEqual(tag, headerTag(parsed.header.suite, headerKey, parsed.body)))
    throw new LevelError("LEVEL_CORRUPTION", "the store's header record does not authenticate under its data key");
}

function headerTag(suite: Suite, key: SecretBuffer, body: Buffer): Buffer {
  return key.expose((bytes) => createHmac(suite.hash, bytes).update(body).digest());
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
