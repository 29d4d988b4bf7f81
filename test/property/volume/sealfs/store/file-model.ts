import { deepEqual, equal, ok } from "node:assert/strict";
import type { StoredFile } from "../../../../../src/volume/sealfs/stored-file.ts";

const unit = 4096;
const zeros = Buffer.alloc(unit);

/** What a file should hold: its size, and its content in units of 4,096 bytes, of which those never written are left out. */
export class FileModel {
  size = 0;
  #units = new Map<number, Buffer>();

  /** The same state, which later changes of this model leave as it is. */
  snapshot(): FileModel {
    const copy = new FileModel();
    copy.size = this.size;
    copy.#units = new Map(this.#units);
    return copy;
  }

  write(at: number, bytes: Buffer): void {
    for (let done = 0; done < bytes.length; ) {
      const index = Math.floor((at + done) / unit);
      const offset = at + done - index * unit;
      const length = Math.min(unit - offset, bytes.length - done);
      const changed = Buffer.from(this.#units.get(index) ?? zeros);
      bytes.copy(changed, offset, done, done + length);
      this.#units.set(index, changed);
      done += length;
    }
    if (bytes.length > 0) this.size = Math.max(this.size, at + bytes.length);
  }

  truncate(size: number): void {
    if (size < this.size) this.punch(size, this.size - size);
    this.size = size;
  }

  punch(at: number, length: number): void {
    const end = Math.min(at + length, this.size);
    for (const [index, bytes] of this.#units) {
      const from = Math.max(at - index * unit, 0);
      const to = Math.min(end - index * unit, unit);
      if (from >= to) continue;
      if (from === 0 && to === unit) this.#units.delete(index);
      else this.#units.set(index, Buffer.from(bytes).fill(0, from, to));
    }
  }

  read(at: number, length: number): Buffer {
    const bytes = Buffer.alloc(Math.max(0, Math.min(length, this.size - at)));
    for (let done = 0; done < bytes.length; ) {
      const index = Math.floor((at + done) / unit);
      const offset = at + done - index * unit;
      done += (this.#units.get(index) ?? zeros).copy(bytes, done, offset, unit);
    }
    return bytes;
  }

  /** True when the file holds the same, as far as reading its data and seeking its holes tells. */
  matches(file: StoredFile): boolean {
    if (file.size !== this.size) return false;
    const indices = new Set([...this.#units.keys()].filter((index) => index * unit < this.size));
    for (let at = file.seekData(0); at !== undefined; ) {
      const end = file.seekHole(at);
      for (let index = Math.floor(at / unit); index * unit < end; index += 1) indices.add(index);
      at = end < this.size ? file.seekData(end) : undefined;
    }
    const bytes = Buffer.alloc(unit);
    for (const index of indices) {
      const expected = this.read(index * unit, unit);
      const got = file.read(index * unit, bytes);
      if (got !== expected.length || !bytes.subarray(0, got).equals(expected)) return false;
    }
    return true;
  }

  /** As {@link matches}, and that nothing is wrong with the file. */
  verify(file: StoredFile): void {
    equal(file.size, this.size);
    ok(this.matches(file), "the file holds something else than was written");
    deepEqual(file.check(), []);
  }
}
