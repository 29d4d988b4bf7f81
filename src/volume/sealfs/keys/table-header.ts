import { timingSafeEqual } from "node:crypto";
import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { hkdf, type Suite, suiteById, suiteHash } from "../../../crypto/suite.ts";
import { damaged, KeyTableError } from "./errors.ts";

/** The clear beginning of a key table's file. */
export interface TableHeader {
  readonly suite: Suite;
  /** 16 bytes. */
  readonly volumeId: Buffer;
  /** 32 bytes, random, new for each file: no record of one file opens in another. */
  readonly salt: Buffer;
  /** Of the first record. Numbers go on from file to file, so that a higher one is always newer. */
  readonly firstSequence: number;
  /** So many bytes were in place, durably, before the file got its name; to find fewer is never an interrupted append. */
  readonly wholeBytes: number;
}

const magic = Buffer.from("SRKT");
const format = 1;
const label = Buffer.from("strongroom/sealfs/keys/v1/records");
const clearBytes = 4 + 1 + 1 + 2 + 16 + 32 + 8 + 4;
const checkBytes = 32;
export const headerBytes: number = clearBytes + checkBytes;
const minTableKeyBytes = 16;
const maxTableKeyBytes = 64;

/** What a table key must be: 16 to 64 bytes. @throws {RangeError} */
export function checkTableKey(tableKey: SecretBuffer): void {
  if (tableKey.byteLength < minTableKeyBytes || tableKey.byteLength > maxTableKeyBytes)
    throw new RangeError(
      `a table key has ${minTableKeyBytes} to ${maxTableKeyBytes} bytes, got ${tableKey.byteLength}`,
    );
}

export function freshSalt(): Buffer {
  return kernelRandomBytes(32);
}

/**
 *     "SRKT" (4) ‖ format = 1 (1) ‖ suite (1) ‖ zero (2) ‖ volume id (16) ‖ salt (32) ‖ first sequence (u64)
 *     ‖ whole bytes (u32) ‖ check (32)
 *
 *     record key ‖ check = HKDF(suite hash, secret = table key, salt, info = "strongroom/sealfs/keys/v1/records" ‖ H(all before check))
 *
 * So another table key, and any changed bit, shows before a record is read.
 *
 * @returns The header's bytes and the record key, which the caller disposes of.
 */
export function encodeHeader(
  header: TableHeader,
  tableKey: SecretBuffer,
): { readonly bytes: Buffer; readonly recordKey: SecretBuffer } {
  const bytes = Buffer.alloc(headerBytes);
  magic.copy(bytes, 0);
  bytes.writeUInt8(format, 4);
  bytes.writeUInt8(header.suite.id, 5);
  header.volumeId.copy(bytes, 8);
  header.salt.copy(bytes, 24);
  bytes.writeBigUInt64BE(BigInt(header.firstSequence), 56);
  bytes.writeUInt32BE(header.wholeBytes, 64);
  const { recordKey, check } = derive(header.suite, bytes, tableKey);
  check.copy(bytes, clearBytes);
  return { bytes, recordKey };
}

/**
 * Reads a header and proves that `tableKey` is its file's.
 *
 * @throws {KeyTableError} `KEY_TABLE_DAMAGED` when it is no header, `KEY_TABLE_WRONG_KEY` when it does not belong to the key
 *   or was changed.
 */
export function decodeHeader(
  file: Buffer,
  tableKey: SecretBuffer,
): { readonly header: TableHeader; readonly recordKey: SecretBuffer } {
  const header = readHeader(file);
  const { recordKey, check } = derive(header.suite, file, tableKey);
  if (!timingSafeEqual(check, file.subarray(clearBytes, headerBytes))) {
    recordKey[Symbol.dispose]();
    throw new KeyTableError(
      "KEY_TABLE_WRONG_KEY",
      "the table key does not belong to this key table, or the table's header was altered; nothing was touched",
    );
  }
  return { header, recordKey };
}

/**
 * The header, which is not to be trusted before {@link decodeHeader} has proved it.
 *
 * @throws {KeyTableError} `KEY_TABLE_DAMAGED`.
 */
export function readHeader(file: Buffer): TableHeader {
  if (file.length < headerBytes) throw damaged("it is shorter than its header");
  if (!file.subarray(0, 4).equals(magic)) throw damaged("it does not begin with SRKT");
  if (file.readUInt8(4) !== format) throw damaged(`its format is ${file.readUInt8(4)}, known is ${format}`);
  const suite = suiteById(file.readUInt8(5));
  if (suite === undefined || file.readUInt16BE(6) !== 0) throw damaged("its suite is unknown to this version");
  const firstSequence = Number(file.readBigUInt64BE(56));
  if (!Number.isSafeInteger(firstSequence)) throw damaged("its first sequence number is out of range");
  return {
    suite,
    volumeId: Buffer.from(file.subarray(8, 24)),
    salt: Buffer.from(file.subarray(24, 56)),
    firstSequence,
    wholeBytes: file.readUInt32BE(64),
  };
}

function derive(
  suite: Suite,
  header: Buffer,
  tableKey: SecretBuffer,
): { readonly recordKey: SecretBuffer; readonly check: Buffer } {
  const info = Buffer.concat([label, suiteHash(suite, header.subarray(0, clearBytes))]);
  using both = hkdf(suite, tableKey, header.subarray(24, 56), info, suite.keyBytes + checkBytes);
  return both.expose((bytes) => ({
    recordKey: SecretBuffer.copyOf(bytes.subarray(0, suite.keyBytes)),
    check: Buffer.from(bytes.subarray(suite.keyBytes)),
  }));
}
