import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { replaceFileDurably } from "../../devices/durable-file.ts";
import { ChainNodeError } from "./errors.ts";

/** One promise of this node: what it is about to sign at a height, in the consensus core's own encoding. */
export interface GuardEntry {
  readonly height: number;
  readonly record: Buffer;
}

interface Header {
  /** Random, 16 bytes: ties the file to the store that lies beside it. */
  readonly id: Buffer;
  readonly stateDigest: Buffer;
  /** How many entries have been forgotten since the file was made. */
  readonly forgotten: number;
}

const magic = Buffer.from("SRGUARD1", "latin1");
const idBytes = 16;
const checkBytes = 32;
const stateDigestBytes = 32;
const headerBytes = magic.length + idBytes + stateDigestBytes + 8 + checkBytes;
const headCheckBytes = 8;
const entryHeaderBytes = 4 + 8 + headCheckBytes;
/** A prepared block with its proof, and some room. */
const maxRecordBytes = 16 << 20;
const maxFileBytes = 256 << 20;
const compactAboveBytes = 4 << 20;

/**
 * The double-sign guard's file: every vote is written here, and synced, before any device is asked to sign it.
 *
 * The state digest is of the genesis and the node's public key. Header `"SRGUARD1" ‖ id (16) ‖ state digest (32) ‖ entries
 * forgotten u64 ‖ check (32)`, then entries `record length u32 ‖ height u64 ‖ head check (8) ‖ record ‖ check (32)`; each check is SHA-256 of the check before it and of what it follows in its entry (of
 * which the head check is the beginning), so that an entry can't be changed, taken out or put elsewhere by accident, and a
 * damaged length does not pass for an unfinished entry. An entry whose bytes are not all there was never answered as stored, and is cut off;
 * anything else that does not fit is damage, and the node does not start.
 */
export class GuardFile implements AsyncDisposable {
  readonly #path: string;
  #header: Header;
  #file: FileHandle;
  #entries: GuardEntry[];
  #check: Buffer;
  #bytes: number;
  #queue: Promise<void> = Promise.resolve();
  #failed: ChainNodeError | undefined;

  private constructor(path: string, file: FileHandle, read: ReadGuard) {
    this.#path = path;
    this.#file = file;
    this.#header = read.header;
    this.#entries = read.entries;
    this.#check = read.check;
    this.#bytes = read.bytes;
  }

  /** Makes the file of a node that has never run; durable on return. */
  static create(path: string, stateDigest: Buffer): void {
    if (existsSync(path)) throw new ChainNodeError("GUARD_DAMAGED", `${path} is there already`);
    replaceFileDurably(path, encodeHeader({ id: randomBytes(idBytes), stateDigest, forgotten: 0 }), 0o600);
  }

  /**
   * Opens the file and reads what this node has promised.
   *
   * @throws {ChainNodeError} `GUARD_MISSING`, `GUARD_DAMAGED`, `GENESIS_MISMATCH`, `GUARD_UNWRITABLE`.
   */
  static async open(path: string, stateDigest: Buffer): Promise<GuardFile> {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined)
      throw new ChainNodeError(
        "GUARD_MISSING",
        `${path} is missing: without it this node could sign two blocks at one height. Put it back, or give the node a new key`,
      );
    if (!stats.isFile() || stats.size > maxFileBytes)
      throw new ChainNodeError("GUARD_DAMAGED", `${path} is not a guard's file`);
    const read = readGuard(readFileSync(path), path);
    if (!read.header.stateDigest.equals(stateDigest))
      throw new ChainNodeError("GENESIS_MISMATCH", `${path} is the guard of another chain or another node key`);
    try {
      const file = await open(path, "r+");
      if (read.bytes < stats.size) {
        await file.truncate(read.bytes);
        await file.sync();
      }
      return new GuardFile(path, file, read);
    } catch (cause) {
      throw unwritable(path, cause);
    }
  }

  /** Names this file: the store keeps it too. */
  get id(): Buffer {
    return this.#header.id;
  }

  /** How many entries were ever added. The store keeps it with each block, so that an older copy of the file shows. */
  get written(): number {
    return this.#header.forgotten + this.#entries.length;
  }

  /** What is promised, in the order in which it was written. */
  get entries(): readonly GuardEntry[] {
    return this.#entries;
  }

  /**
   * Adds an entry; it is on the disk when the promise resolves. After a failure every later call fails too: what the disk
   * holds is then unknown.
   *
   * @throws {ChainNodeError} `GUARD_UNWRITABLE`.
   */
  append(entry: GuardEntry): Promise<void> {
    if (entry.record.length > maxRecordBytes) throw new RangeError(`a guard record of ${entry.record.length} bytes`);
    return this.#inTurn(async () => {
      const bytes = encodeEntry(entry, this.#check);
      await writeWhole(this.#file, bytes, this.#bytes);
      await this.#file.datasync();
      this.#bytes += bytes.length;
      this.#check = bytes.subarray(bytes.length - checkBytes);
      this.#entries.push(entry);
    });
  }

  /** Forgets the entries of heights whose blocks are durable in the store. The file is written anew once it has grown. */
  forget(upToHeight: number): Promise<void> {
    return this.#inTurn(async () => {
      const kept = this.#entries.filter(({ height }) => height > upToHeight);
      if (this.#bytes < compactAboveBytes || kept.length === this.#entries.length) return;
      const forgotten = this.#header.forgotten + this.#entries.length - kept.length;
      const header = { ...this.#header, forgotten };
      const parts = [encodeHeader(header)];
      let check = lastCheck(parts[0]);
      for (const entry of kept) {
        const bytes = encodeEntry(entry, check);
        check = lastCheck(bytes);
        parts.push(bytes);
      }
      const content = Buffer.concat(parts);
      replaceFileDurably(this.#path, content, 0o600);
      const old = this.#file;
      this.#file = await open(this.#path, "r+");
      await old.close();
      this.#header = header;
      this.#entries = kept;
      this.#check = check;
      this.#bytes = content.length;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue;
    this.#failed ??= new ChainNodeError("GUARD_UNWRITABLE", `${this.#path} is closed`);
    await this.#file.close();
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(async () => {
      if (this.#failed !== undefined) throw this.#failed;
      try {
        await work();
      } catch (cause) {
        this.#failed = unwritable(this.#path, cause);
        throw this.#failed;
      }
    });
    this.#queue = done.catch(() => {});
    return done;
  }
}

interface ReadGuard {
  readonly header: Header;
  readonly entries: GuardEntry[];
  readonly check: Buffer;
  /** Length of what was read: an unfinished entry is not part of it. */
  readonly bytes: number;
}

function readGuard(bytes: Buffer, path: string): ReadGuard {
  const damaged = (what: string) => new ChainNodeError("GUARD_DAMAGED", `${path}: ${what}`);
  if (bytes.length < headerBytes || !bytes.subarray(0, magic.length).equals(magic))
    throw damaged("it is not a guard's file");
  const id = Buffer.from(bytes.subarray(magic.length, magic.length + idBytes));
  const forgottenAt = magic.length + idBytes + stateDigestBytes;
  const stateDigest = Buffer.from(bytes.subarray(magic.length + idBytes, forgottenAt));
  const forgotten = bytes.readBigUInt64BE(forgottenAt);
  if (forgotten > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged("its header has no count");
  const header = { id, stateDigest, forgotten: Number(forgotten) };
  if (!encodeHeader(header).equals(bytes.subarray(0, headerBytes))) throw damaged("its header does not fit its check");
  const entries: GuardEntry[] = [];
  let check = lastCheck(bytes.subarray(0, headerBytes));
  let at = headerBytes;
  while (at < bytes.length) {
    if (bytes.length - at < entryHeaderBytes) break;
    const recordBytes = bytes.readUInt32BE(at);
    const head = bytes.subarray(at, at + entryHeaderBytes);
    if (!withHeadCheck(head.subarray(0, -headCheckBytes), check).equals(head))
      throw damaged(`the entry at byte ${at} does not fit its head check`);
    if (recordBytes > maxRecordBytes) throw damaged(`the entry at byte ${at} is too long`);
    const end = at + entryHeaderBytes + recordBytes + checkBytes;
    if (end > bytes.length) break;
    const height = bytes.readBigUInt64BE(at + 4);
    if (height > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(`the entry at byte ${at} has no height`);
    const record = Buffer.from(bytes.subarray(at + entryHeaderBytes, end - checkBytes));
    const entry = { height: Number(height), record };
    if (!encodeEntry(entry, check).equals(bytes.subarray(at, end)))
      throw damaged(`the entry at byte ${at} does not fit its check`);
    entries.push(entry);
    check = lastCheck(bytes.subarray(at, end));
    at = end;
  }
  return { header, entries, check, bytes: at };
}

function encodeHeader({ id, stateDigest, forgotten }: Header): Buffer {
  if (id.length !== idBytes || stateDigest.length !== stateDigestBytes)
    throw new RangeError("a guard's id or state digest");
  const count = Buffer.alloc(8);
  count.writeBigUInt64BE(BigInt(forgotten));
  const content = Buffer.concat([magic, id, stateDigest, count]);
  return Buffer.concat([content, sha256(content)]);
}

function encodeEntry({ height, record }: GuardEntry, before: Buffer): Buffer {
  const fields = Buffer.alloc(entryHeaderBytes - headCheckBytes);
  fields.writeUInt32BE(record.length);
  fields.writeBigUInt64BE(BigInt(height), 4);
  const head = withHeadCheck(fields, before);
  return Buffer.concat([head, record, sha256(before, head, record)]);
}

function withHeadCheck(fields: Buffer, before: Buffer): Buffer {
  return Buffer.concat([fields, sha256(before, fields).subarray(0, headCheckBytes)]);
}

/** A disk that is nearly full takes a part and reports no error: what is missing would pass for a crash at the next start. */
async function writeWhole(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    if (bytesWritten === 0) throw new Error("the disk takes no more bytes");
    written += bytesWritten;
  }
}

function lastCheck(bytes: Buffer | undefined): Buffer {
  return Buffer.from(bytes?.subarray(-checkBytes) ?? []);
}

function sha256(...parts: readonly Buffer[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function unwritable(path: string, cause: unknown): ChainNodeError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ChainNodeError("GUARD_UNWRITABLE", `${path} cannot be written: ${reason}`, cause);
}
