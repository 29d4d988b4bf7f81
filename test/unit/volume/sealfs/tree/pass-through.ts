import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import type { BackingFile, StoredFile } from "../../../../../src/volume/sealfs/stored-file.ts";
import type { ContentStore } from "../../../../../src/volume/sealfs/tree/content-store.ts";

/** Contents that lie in the backing file as they are, behind the file's id: what the tree does is seen without a store's part. */
export class PassThrough implements ContentStore {
  create(backing: BackingFile, fileId: Buffer): StoredFile {
    backing.write(0, fileId);
    return new PassThroughFile(backing);
  }

  open(backing: BackingFile, fileId: Buffer): StoredFile {
    const id = Buffer.alloc(16);
    if (backing.read(0, id) === 16 && id.equals(fileId)) return new PassThroughFile(backing);
    backing.close();
    throw new FsError("EIO", "another file's content");
  }
}

const headBytes = 16;

class PassThroughFile implements StoredFile {
  readonly #backing: BackingFile;

  constructor(backing: BackingFile) {
    this.#backing = backing;
  }

  get size(): number {
    return this.#backing.size() - headBytes;
  }

  get allocatedBytes(): number {
    return this.size;
  }

  read(from: number, into: Buffer): number {
    return this.#backing.read(headBytes + from, into);
  }

  write(to: number, bytes: Buffer): void {
    this.#backing.write(headBytes + to, bytes);
  }

  truncate(size: number): void {
    this.#backing.truncate(headBytes + size);
  }

  allocate(from: number, length: number, keepSize: boolean): void {
    if (!keepSize && from + length > this.size) this.truncate(from + length);
  }

  punch(from: number, length: number): void {
    const end = Math.min(from + length, this.size);
    if (end > from) this.write(from, Buffer.alloc(end - from));
  }

  seekData(from: number): number | undefined {
    return from < this.size ? from : undefined;
  }

  seekHole(): number {
    return this.size;
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
