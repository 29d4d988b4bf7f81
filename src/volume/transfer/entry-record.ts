import { fileType } from "../sealfs/system/calls.ts";
import { damaged, type ExportReader } from "./export-stream.ts";

/** An entry of a store, as an export carries it. */
export interface EntryRecord {
  /** A byte string, one character for each byte; empty for the store itself. */
  readonly name: string;
  /** Type and permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly accessedNs: bigint;
  readonly modifiedNs: bigint;
  /** Of `user.` only. */
  readonly attributes: readonly (readonly [name: string, value: Buffer])[];
}

/** What follows in an export's plaintext. */
export type ExportRecord =
  /** Its entries follow, up to `leave`. */
  | { readonly kind: "folder"; readonly entry: EntryRecord }
  /** Its pieces follow. */
  | { readonly kind: "file"; readonly entry: EntryRecord; readonly size: number }
  | { readonly kind: "symlink"; readonly entry: EntryRecord; readonly target: string }
  /** Another name of an entry that came before: its path from the store's top. */
  | { readonly kind: "link"; readonly name: string; readonly to: readonly string[] }
  /** FIFOs, sockets and devices. */
  | { readonly kind: "special"; readonly entry: EntryRecord; readonly device: number }
  | { readonly kind: "leave" }
  | { readonly kind: "end"; readonly entries: number; readonly contentBytes: number };

const kinds = { folder: 1, file: 2, symlink: 3, link: 4, special: 5, leave: 6, end: 7 } as const;
const mostNameBytes = 255;
const mostAttributes = 1024;
const mostAttributeBytes = 65_536;
const mostDepth = 100_000;
const mostTargetBytes = 4096;
/** A piece of a file is no longer. */
export const mostPieceBytes: number = 256 * 1024;

const typeOfKind: Readonly<Record<string, readonly number[]>> = {
  folder: [fileType.directory],
  file: [fileType.regular],
  symlink: [fileType.symlink],
  special: [fileType.fifo, fileType.socket, fileType.characterDevice, fileType.blockDevice],
};

/**
 * `kind (u8)` and its fields, numbers big-endian; a text is `length (u16) ‖ bytes`, an attribute `name ‖ length (u32) ‖ value`:
 *
 *     entry   = name ‖ mode (u32) ‖ uid (u32) ‖ gid (u32) ‖ accessed ns (i64) ‖ modified ns (i64) ‖ count (u16) ‖ attributes
 *     folder  = entry            file    = entry ‖ size (u64), then pieces: offset (u64) ‖ length (u32) ‖ bytes, up to a length 0
 *     symlink = entry ‖ target   special = entry ‖ device (u32)
 *     link    = name ‖ depth (u32) ‖ names of the path      leave = nothing      end = entries (u64) ‖ bytes of content (u64)
 */
export function encodeRecord(record: ExportRecord): Buffer {
  const parts: Buffer[] = [Buffer.of(kinds[record.kind])];
  switch (record.kind) {
    case "folder":
      parts.push(...entryParts(record.entry));
      break;
    case "file":
      parts.push(...entryParts(record.entry), u64(record.size));
      break;
    case "symlink":
      parts.push(...entryParts(record.entry), text(record.target));
      break;
    case "special":
      parts.push(...entryParts(record.entry), u32(record.device));
      break;
    case "link":
      parts.push(text(record.name), u32(record.to.length), ...record.to.map(text));
      break;
    case "end":
      parts.push(u64(record.entries), u64(record.contentBytes));
      break;
    case "leave":
      break;
  }
  return Buffer.concat(parts);
}

/** Before a piece of a file; a length of 0 ends the file. */
export function encodePieceStart(offset: number, length: number): Buffer {
  return Buffer.concat([u64(offset), u32(length)]);
}

/** @throws {VolumeError} `VOLUME_EXPORT_DAMAGED` for anything that {@link encodeRecord} would not have written. */
export async function readRecord(from: ExportReader): Promise<ExportRecord> {
  const [byte] = await from.take(1);
  switch (byte) {
    case kinds.folder:
      return { kind: "folder", entry: await readEntry(from, "folder") };
    case kinds.file:
      return { kind: "file", entry: await readEntry(from, "file"), size: await readU64(from) };
    case kinds.symlink:
      return {
        kind: "symlink",
        entry: await readEntry(from, "symlink"),
        target: await readText(from, 1, mostTargetBytes),
      };
    case kinds.special:
      return { kind: "special", entry: await readEntry(from, "special"), device: (await from.take(4)).readUInt32BE() };
    case kinds.link: {
      const name = await readName(from);
      const depth = (await from.take(4)).readUInt32BE();
      if (depth < 1 || depth > mostDepth) throw damaged("a link leads deeper than folders go");
      const to: string[] = [];
      for (let i = 0; i < depth; i++) to.push(await readName(from));
      return { kind: "link", name, to };
    }
    case kinds.leave:
      return { kind: "leave" };
    case kinds.end:
      return { kind: "end", entries: await readU64(from), contentBytes: await readU64(from) };
    default:
      throw damaged("it holds a record of an unknown kind");
  }
}

/** Where a piece of a file begins, and how many bytes of it follow. @throws {VolumeError} `VOLUME_EXPORT_DAMAGED`. */
export async function readPieceStart(
  from: ExportReader,
): Promise<{ readonly offset: number; readonly length: number }> {
  const offset = await readU64(from);
  const length = (await from.take(4)).readUInt32BE();
  if (length > mostPieceBytes) throw damaged("a piece of a file is longer than any");
  return { offset, length };
}

function entryParts({ name, mode, uid, gid, accessedNs, modifiedNs, attributes }: EntryRecord): Buffer[] {
  const times = Buffer.alloc(16);
  times.writeBigInt64BE(accessedNs, 0);
  times.writeBigInt64BE(modifiedNs, 8);
  const count = Buffer.alloc(2);
  count.writeUInt16BE(attributes.length);
  const pairs = attributes.flatMap(([key, value]) => [text(key), u32(value.length), value]);
  return [text(name), u32(mode), u32(uid), u32(gid), times, count, ...pairs];
}

async function readEntry(from: ExportReader, kind: keyof typeof typeOfKind): Promise<EntryRecord> {
  const name = await readText(from, 0, mostNameBytes);
  if (name !== "") checkName(name);
  const fixed = await from.take(12 + 16 + 2);
  const mode = fixed.readUInt32BE(0);
  if (!typeOfKind[kind]?.includes(mode & fileType.mask) || mode > 0o177777)
    throw damaged("an entry has a mode that is not of its kind");
  const count = fixed.readUInt16BE(28);
  if (count > mostAttributes) throw damaged("an entry has too many attributes");
  const attributes: (readonly [string, Buffer])[] = [];
  for (let i = 0; i < count; i++) {
    const key = await readText(from, 1, mostNameBytes);
    if (!key.startsWith("user.") || key.includes("\0")) throw damaged("an entry has an attribute that is not a user's");
    const length = (await from.take(4)).readUInt32BE();
    if (length > mostAttributeBytes) throw damaged("an attribute is longer than any");
    attributes.push([key, await from.take(length)]);
  }
  return {
    name,
    mode,
    uid: fixed.readUInt32BE(4),
    gid: fixed.readUInt32BE(8),
    accessedNs: fixed.readBigInt64BE(12),
    modifiedNs: fixed.readBigInt64BE(20),
    attributes,
  };
}

async function readName(from: ExportReader): Promise<string> {
  const name = await readText(from, 1, mostNameBytes);
  checkName(name);
  return name;
}

/** Names are made in a folder that is held open; one that leads elsewhere is none. */
function checkName(name: string): void {
  if (name === "." || name === ".." || name.includes("/") || name.includes("\0"))
    throw damaged("it holds a name that no entry can have");
}

async function readText(from: ExportReader, least: number, most: number): Promise<string> {
  const length = (await from.take(2)).readUInt16BE();
  if (length < least || length > most) throw damaged("a text in it is too long or too short");
  return (await from.take(length)).toString("latin1");
}

async function readU64(from: ExportReader): Promise<number> {
  const value = Number((await from.take(8)).readBigUInt64BE());
  if (!Number.isSafeInteger(value)) throw damaged("a number in it is out of range");
  return value;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
