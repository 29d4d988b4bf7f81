import { FsError } from "../../src/volume/sealfs/fs-error.ts";
import type { BackingFile } from "../../src/volume/sealfs/stored-file.ts";

/** One change of a backing file, in the order in which they were made. */
export type BackingChange =
  | { readonly kind: "write"; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: "truncate"; readonly size: number }
  | { readonly kind: "punch"; readonly at: number; readonly length: number }
  | { readonly kind: "sync" };

/** A backing file in memory that records its changes, so that any crash can be played from them, and fails when told to. */
export class MemoryBackingFile implements BackingFile {
  readonly changes: BackingChange[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  #size = 0;
  /** The write after so many fails with ENOSPC, half of its bytes written, and all later ones. */
  writesLeft = Number.POSITIVE_INFINITY;
  /** The sync after so many fails with EIO. */
  syncsLeft = Number.POSITIVE_INFINITY;
  isClosed = false;

  /** A backing file with this content; nothing recorded yet. */
  static of(content: Uint8Array): MemoryBackingFile {
    const file = new MemoryBackingFile();
    file.#put(0, Buffer.from(content));
    return file;
  }

  /** What a file holds after these changes. */
  static replay(changes: readonly BackingChange[], start: Uint8Array = Buffer.alloc(0)): MemoryBackingFile {
    const file = MemoryBackingFile.of(start);
    for (const change of changes)
      if (change.kind === "write") file.#put(change.at, change.bytes);
      else if (change.kind === "truncate") file.#resize(change.size);
      else if (change.kind === "punch") file.#zero(change.at, change.length);
    return file;
  }

  read(at: number, into: Buffer): number {
    this.#refuseWhenClosed();
    return at >= this.#size ? 0 : this.#bytes.copy(into, 0, at, Math.min(this.#size, at + into.length));
  }

  write(at: number, bytes: Buffer): void {
    this.#refuseWhenClosed();
    if (this.writesLeft <= 0) {
      const half = bytes.subarray(0, bytes.length >> 1);
      this.changes.push({ kind: "write", at, bytes: Buffer.from(half) });
      this.#put(at, half);
      throw new FsError("ENOSPC", "the backing file is full");
    }
    this.writesLeft -= 1;
    this.changes.push({ kind: "write", at, bytes: Buffer.from(bytes) });
    this.#put(at, bytes);
  }

  size(): number {
    return this.#size;
  }

  truncate(size: number): void {
    this.changes.push({ kind: "truncate", size });
    this.#resize(size);
  }

  punch(at: number, length: number): void {
    this.changes.push({ kind: "punch", at, length });
    this.#zero(at, length);
  }

  sync(): void {
    this.#refuseWhenClosed();
    if (this.syncsLeft <= 0) throw new FsError("EIO", "the backing file can't be synced");
    this.syncsLeft -= 1;
    this.changes.push({ kind: "sync" });
  }

  close(): void {
    this.isClosed = true;
  }

  /** A copy of what is in the file. */
  content(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#size));
  }

  /** The same content in a file that can be opened again. */
  copy(): MemoryBackingFile {
    return MemoryBackingFile.of(this.#bytes.subarray(0, this.#size));
  }

  #put(at: number, bytes: Buffer): void {
    if (at + bytes.length > this.#size) this.#resize(at + bytes.length);
    bytes.copy(this.#bytes, at);
  }

  #resize(size: number): void {
    if (size > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(size, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#size);
      this.#bytes = larger;
    }
    if (size < this.#size) this.#bytes.fill(0, size, this.#size);
    this.#size = size;
  }

  #zero(at: number, length: number): void {
    this.#bytes.fill(0, Math.min(at, this.#size), Math.min(at + length, this.#size));
  }

  #refuseWhenClosed(): void {
    if (this.isClosed) throw new FsError("EBADF", "the backing file is closed");
  }
}
