import { FsError } from "../fs-error.ts";
import type { BackingFile, StoredFile } from "../stored-file.ts";

const chunkBytes = 2 ** 16;

/** A file of a plain zone: the backing file as it is, with nothing sealed or verified. */
export class PlainFile implements StoredFile {
  readonly #backing: BackingFile;

  /** @param backing - Belongs to the file from now on. */
  constructor(backing: BackingFile) {
    this.#backing = backing;
  }

  get size(): number {
    return this.#backing.size();
  }

  /** As many as the size: the holes of the backing file are not known here. */
  get allocatedBytes(): number {
    return this.#backing.size();
  }

  read(at: number, into: Buffer): number {
    return this.#backing.read(at, into);
  }

  write(at: number, bytes: Buffer): void {
    this.#backing.write(at, bytes);
  }

  truncate(size: number): void {
    this.#backing.truncate(size);
  }

  allocate(at: number, length: number, keepSize: boolean): void {
    if (!keepSize && at + length > this.#backing.size()) this.#backing.truncate(at + length);
  }

  /** What the file system below does not punch, is overwritten with zeros. */
  punch(at: number, length: number): void {
    const end = Math.min(at + length, this.#backing.size());
    if (at >= end) return;
    this.#backing.punch(at, end - at);
    const bytes = Buffer.alloc(Math.min(chunkBytes, end - at));
    for (let place = at; place < end; place += bytes.length) {
      const chunk = bytes.subarray(0, Math.min(bytes.length, end - place));
      this.#backing.read(place, chunk);
      if (chunk.every((byte) => byte === 0)) continue;
      chunk.fill(0);
      this.#backing.write(place, chunk);
    }
  }

  seekData(at: number): number | undefined {
    return at < this.#backing.size() ? at : undefined;
  }

  seekHole(at: number): number {
    const size = this.#backing.size();
    if (at >= size) throw new FsError("ENXIO", "the place is beyond the end");
    return size;
  }

  commit(durable: boolean): void {
    if (durable) this.#backing.sync();
  }

  bytesByGeneration(): ReadonlyMap<number, number> {
    return new Map();
  }

  reseal(): number {
    return 0;
  }

  check(): readonly string[] {
    return [];
  }

  close(): void {
    this.#backing.close();
  }
}
