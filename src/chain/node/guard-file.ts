import { existsSync, readFileSync, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { replaceFileDurably, syncFolder } from "../../files/durable-file.ts";
import { ChainNodeError } from "./errors.ts";
import {
  encodeEntry,
  encodeHeader,
  type GuardEntry,
  type GuardHeader,
  maxRecordBytes,
  newHeader,
  type ReadGuard,
  readGuard,
  type StampedEntry,
} from "./guard-format.ts";

/** A point in a guard's history: how many entries there were, and the stamp over all of them. */
export interface GuardMark {
  readonly value: number;
  readonly stamp: Buffer;
}

/** Lengths of a guard's file, in bytes. */
export interface GuardLimits {
  /** A file that is longer is not opened, so none is made longer: that of a height which stays open for views without end. */
  readonly mostBytes: number;
  /** What may be forgotten is once the file is as long as this. */
  readonly compactAboveBytes: number;
}

const usualLimits: GuardLimits = { mostBytes: 256 << 20, compactAboveBytes: 4 << 20 };

/** The double-sign guard's file: every vote is written here, and synced, before any device is asked to sign it. */
export class GuardFile implements AsyncDisposable {
  readonly #path: string;
  #header: GuardHeader;
  #file: FileHandle;
  #entries: StampedEntry[];
  #bytes: number;
  readonly #limits: GuardLimits;
  #queue: Promise<void> = Promise.resolve();
  #failed: ChainNodeError | undefined;

  private constructor(path: string, file: FileHandle, read: ReadGuard, limits: GuardLimits) {
    this.#path = path;
    this.#limits = limits;
    this.#file = file;
    this.#header = read.header;
    this.#entries = read.entries;
    this.#bytes = read.bytes;
  }

  /** Makes the file of a node that has never run; durable on return. */
  static create(path: string, stateDigest: Buffer): void {
    if (existsSync(path)) throw new ChainNodeError("GUARD_DAMAGED", `${path} is there already`);
    replaceFileDurably(path, encodeHeader(newHeader(stateDigest)), 0o600);
  }

  /**
   * Opens the file and reads what this node has promised. What was read is durable on return: a process that was killed may
   * have left an entry, or the file's name, in memory only, and a counter must not be taken where a power loss could go behind.
   *
   * @throws {ChainNodeError} `GUARD_MISSING`, `GUARD_DAMAGED`, `GENESIS_MISMATCH`, `GUARD_UNWRITABLE`.
   */
  static async open(path: string, stateDigest: Buffer, given: Partial<GuardLimits> = {}): Promise<GuardFile> {
    const limits = { ...usualLimits, ...given };
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined)
      throw new ChainNodeError(
        "GUARD_MISSING",
        `${path} is missing: without it this node could sign two blocks at one height. Put it back, or give the node a new key`,
      );
    if (!stats.isFile() || stats.size > limits.mostBytes)
      throw new ChainNodeError("GUARD_DAMAGED", `${path} is not a guard's file`);
    const read = readGuard(readFileSync(path), path);
    if (!read.header.stateDigest.equals(stateDigest))
      throw new ChainNodeError("GENESIS_MISMATCH", `${path} is the guard of another chain or another node key`);
    try {
      const file = await open(path, "r+");
      if (read.bytes < stats.size) await file.truncate(read.bytes);
      await file.sync();
      syncFolder(dirname(path));
      return new GuardFile(path, file, read, limits);
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

  /** No promise is known any more of heights up to this one, and none may be made there. */
  get closedHeight(): number {
    return this.#header.closedHeight;
  }

  /** Whether a counter at a key manager has ever stood for this file: see {@link markCounted}. */
  get isCounted(): boolean {
    return this.#header.isCounted;
  }

  /** The end of what is durable. */
  get end(): GuardMark {
    return { value: this.written, stamp: this.#stamp };
  }

  /** The stamp over the first `value` entries; undefined for a point that is not reached yet, or before what was forgotten. */
  stampAt(value: number): Buffer | undefined {
    const { forgotten, stamp } = this.#header;
    return value === forgotten ? stamp : this.#entries[value - forgotten - 1]?.stamp;
  }

  /** What is promised, in the order in which it was written. */
  get entries(): readonly GuardEntry[] {
    return this.#entries;
  }

  /**
   * Adds an entry; it is on the disk when the promise resolves. After a failure every later call fails too: what the disk
   * holds is then unknown.
   *
   * @returns How many entries there were with it.
   * @throws {ChainNodeError} `GUARD_UNWRITABLE`.
   */
  append(entry: GuardEntry): Promise<number> {
    if (entry.record.length > maxRecordBytes) throw new RangeError(`a guard record of ${entry.record.length} bytes`);
    return this.#inTurn(async () => {
      const { bytes, stamp } = encodeEntry(entry, this.#stamp);
      if (this.#bytes + bytes.length > this.#limits.mostBytes)
        throw new Error(`it has ${this.#bytes} bytes and takes no more until a block closes its height`);
      await this.#mustBeAsLeft();
      await writeWhole(this.#file, bytes, this.#bytes);
      await this.#file.datasync();
      this.#bytes += bytes.length;
      this.#entries.push({ ...entry, stamp });
      return this.written;
    });
  }

  /**
   * Forgets the entries of heights whose blocks are durable in the store. The file is written anew once it has grown.
   *
   * @param upToValue - Of the first so many entries only: a counter that stands behind must still find its place.
   */
  forget(upToHeight: number, upToValue: number = this.written): Promise<void> {
    return this.#inTurn(async () => {
      const firstKept = this.#entries.findIndex(({ height }) => height > upToHeight);
      const passed = firstKept < 0 ? this.#entries.length : firstKept;
      const count = Math.min(passed, upToValue - this.#header.forgotten);
      const last = this.#entries[count - 1];
      if (this.#bytes < this.#limits.compactAboveBytes || last === undefined) return;
      const closedHeight = this.#entries
        .slice(0, count)
        .reduce((most, { height }) => Math.max(most, height), this.#header.closedHeight);
      const forgotten = this.#header.forgotten + count;
      await this.#replace({ ...this.#header, forgotten, closedHeight, stamp: last.stamp }, this.#entries.slice(count));
    });
  }

  /** Remembers for good that a counter stands for this file; durable when the promise resolves. */
  markCounted(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#header.isCounted) await this.#replace({ ...this.#header, isCounted: true }, this.#entries);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue;
    this.#failed ??= new ChainNodeError("GUARD_UNWRITABLE", `${this.#path} is closed`);
    await this.#file.close();
  }

  /** What is promised in a file that is no longer there, or that another process writes, is not there at the next start. */
  async #mustBeAsLeft(): Promise<void> {
    const { nlink, size } = await this.#file.stat();
    if (nlink === 0) throw new Error("it was removed, or replaced by another, while the node runs");
    if (size !== this.#bytes)
      throw new Error(
        `it has ${size} bytes and not ${this.#bytes}: another process has written it while the node runs`,
      );
  }

  async #replace(header: GuardHeader, entries: StampedEntry[]): Promise<void> {
    const parts = [encodeHeader(header)];
    let before = header.stamp;
    for (const entry of entries) {
      parts.push(encodeEntry(entry, before).bytes);
      before = entry.stamp;
    }
    const content = Buffer.concat(parts);
    replaceFileDurably(this.#path, content, 0o600);
    const old = this.#file;
    this.#file = await open(this.#path, "r+");
    await old.close();
    this.#header = header;
    this.#entries = entries;
    this.#bytes = content.length;
  }

  get #stamp(): Buffer {
    return this.#entries.at(-1)?.stamp ?? this.#header.stamp;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(async () => {
      if (this.#failed !== undefined) throw this.#failed;
      try {
        return await work();
      } catch (cause) {
        this.#failed = unwritable(this.#path, cause);
        throw this.#failed;
      }
    });
    this.#queue = done.then(
      () => {},
      () => {},
    );
    return done;
  }
}

/** A disk that is nearly full takes a part and reports no error: what is missing would pass for a crash at the next start. */
async function writeWhole(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    if (bytesWritten === 0) throw new Error("the disk takes no more bytes");
    written += bytesWritten;
  }
}

function unwritable(path: string, cause: unknown): ChainNodeError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ChainNodeError("GUARD_UNWRITABLE", `${path} cannot be written: ${reason}`, cause);
}
