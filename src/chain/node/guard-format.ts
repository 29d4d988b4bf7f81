import { createHash, randomBytes } from "node:crypto";
import { ChainNodeError } from "./errors.ts";

/** One promise of this node: what it is about to sign at a height, in the consensus core's own encoding. */
export interface GuardEntry {
  readonly height: number;
  readonly record: Buffer;
}

/** Of a guard's file. */
export interface GuardHeader {
  /** Random, 16 bytes: ties the file to the store that lies beside it. */
  readonly id: Buffer;
  readonly stateDigest: Buffer;
  /** How many entries have been forgotten since the file was made. */
  readonly forgotten: number;
  /** The greatest height among them: nothing is known any more of what was promised up to there. 0 for none. */
  readonly closedHeight: number;
  /** Whether a counter at a key manager has ever stood for this file. */
  readonly isCounted: boolean;
  /** Over all that was forgotten. */
  readonly stamp: Buffer;
}

const magic = Buffer.from("SRGUARD2", "latin1");
const formerMagic = Buffer.from("SRGUARD1", "latin1");
const idBytes = 16;
const checkBytes = 32;
const stateDigestBytes = 32;
const headerBytes = magic.length + idBytes + stateDigestBytes + 8 + 8 + 1 + checkBytes + checkBytes;
const headCheckBytes = 8;
const entryHeaderBytes = 4 + 8 + headCheckBytes;
/** A prepared block with its proof, and some room. */
export const maxRecordBytes = 16 << 20;

/** An entry with the stamp over it and all before it. */
export interface StampedEntry extends GuardEntry {
  readonly stamp: Buffer;
}

export interface ReadGuard {
  readonly header: GuardHeader;
  readonly entries: StampedEntry[];
  /** Length of what was read: an unfinished entry is not part of it. */
  readonly bytes: number;
}

/**
 * Reads a guard's file. The state digest is of the genesis and the node's public key. Header `"SRGUARD2" ‖ id (16) ‖ state digest (32) ‖ entries
 * forgotten u64 ‖ closed height u64 ‖ counted (1: 00 or 01) ‖ stamp (32) ‖ SHA-256 of these (32)`, then entries
 * `record length u32 ‖ height u64 ‖ head check (8) ‖ record ‖ stamp (32)`. A new file's stamp is SHA-256 of `"strongroom/chain/guard" ‖ id ‖ state digest`; an entry's is SHA-256 of the
 * stamp before it and of its own bytes up to there. So the last stamp stands for all entries that there ever were, the forgotten
 * ones too: a counter at the key manager holds it. The head check is the beginning of SHA-256 of the stamp before and of
 * length and height: a damaged length does not pass for an unfinished entry. An entry whose bytes are not all there was never
 * answered as stored, and is cut off; anything else that does not fit is damage, and the node does not start.
 *
 * @param path - For the errors.
 * @throws {ChainNodeError} `GUARD_DAMAGED`.
 */
export function readGuard(bytes: Buffer, path: string): ReadGuard {
  const damaged = (what: string) => new ChainNodeError("GUARD_DAMAGED", `${path}: ${what}`);
  if (bytes.subarray(0, magic.length).equals(formerMagic))
    throw damaged(
      "it is a guard's file of the former format, without stamps. Give the node a new key, or build the chain anew",
    );
  if (bytes.length < headerBytes || !bytes.subarray(0, magic.length).equals(magic))
    throw damaged("it is not a guard's file");
  const header = readHeader(bytes);
  if (header === undefined || !encodeHeader(header).equals(bytes.subarray(0, headerBytes)))
    throw damaged("its header does not fit its check");
  const entries: StampedEntry[] = [];
  let before = header.stamp;
  let at = headerBytes;
  while (at < bytes.length) {
    if (bytes.length - at < entryHeaderBytes) break;
    const recordBytes = bytes.readUInt32BE(at);
    const head = bytes.subarray(at, at + entryHeaderBytes);
    if (!withHeadCheck(head.subarray(0, -headCheckBytes), before).equals(head))
      throw damaged(`the entry at byte ${at} does not fit its head check`);
    if (recordBytes > maxRecordBytes) throw damaged(`the entry at byte ${at} is too long`);
    const end = at + entryHeaderBytes + recordBytes + checkBytes;
    if (end > bytes.length) break;
    const height = bytes.readBigUInt64BE(at + 4);
    if (height > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(`the entry at byte ${at} has no height`);
    const record = Buffer.from(bytes.subarray(at + entryHeaderBytes, end - checkBytes));
    const entry = { height: Number(height), record };
    const again = encodeEntry(entry, before);
    if (!again.bytes.equals(bytes.subarray(at, end))) throw damaged(`the entry at byte ${at} does not fit its stamp`);
    entries.push({ ...entry, stamp: again.stamp });
    before = again.stamp;
    at = end;
  }
  return { header, entries, bytes: at };
}

function readHeader(bytes: Buffer): GuardHeader | undefined {
  const digestAt = magic.length + idBytes;
  const forgottenAt = digestAt + stateDigestBytes;
  const closedAt = forgottenAt + 8;
  const countedAt = closedAt + 8;
  const stampAt = countedAt + 1;
  const forgotten = bytes.readBigUInt64BE(forgottenAt);
  const closed = bytes.readBigUInt64BE(closedAt);
  if (forgotten > BigInt(Number.MAX_SAFE_INTEGER) || closed > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  return {
    id: Buffer.from(bytes.subarray(magic.length, digestAt)),
    stateDigest: Buffer.from(bytes.subarray(digestAt, forgottenAt)),
    forgotten: Number(forgotten),
    closedHeight: Number(closed),
    isCounted: bytes.readUInt8(countedAt) === 1,
    stamp: Buffer.from(bytes.subarray(stampAt, stampAt + checkBytes)),
  };
}

/** The header of a new guard. */
export function newHeader(stateDigest: Buffer): GuardHeader {
  const id = randomBytes(idBytes);
  const stamp = sha256(Buffer.from("strongroom/chain/guard"), id, stateDigest);
  return { id, stateDigest, forgotten: 0, closedHeight: 0, isCounted: false, stamp };
}

/** As {@link readGuard} reads it. */
export function encodeHeader(header: GuardHeader): Buffer {
  const { id, stateDigest, forgotten, closedHeight, isCounted, stamp } = header;
  if (id.length !== idBytes || stateDigest.length !== stateDigestBytes)
    throw new RangeError("a guard's id or state digest");
  const numbers = Buffer.alloc(8 + 8 + 1);
  numbers.writeBigUInt64BE(BigInt(forgotten));
  numbers.writeBigUInt64BE(BigInt(closedHeight), 8);
  numbers.writeUInt8(isCounted ? 1 : 0, 16);
  const content = Buffer.concat([magic, id, stateDigest, numbers, stamp]);
  return Buffer.concat([content, sha256(content)]);
}

/** As {@link readGuard} reads it; `before` is the stamp before the entry. */
export function encodeEntry(
  { height, record }: GuardEntry,
  before: Buffer,
): { readonly bytes: Buffer; readonly stamp: Buffer } {
  const fields = Buffer.alloc(entryHeaderBytes - headCheckBytes);
  fields.writeUInt32BE(record.length);
  fields.writeBigUInt64BE(BigInt(height), 4);
  const head = withHeadCheck(fields, before);
  const stamp = sha256(before, head, record);
  return { bytes: Buffer.concat([head, record, stamp]), stamp };
}

function withHeadCheck(fields: Buffer, before: Buffer): Buffer {
  return Buffer.concat([fields, sha256(before, fields).subarray(0, headCheckBytes)]);
}

function sha256(...parts: readonly Buffer[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}
