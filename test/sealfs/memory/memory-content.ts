const pageBytes = 4096;

/** A sparse file's bytes: pages that were written, holes between them. */
export class MemoryContent {
  readonly #pages = new Map<number, Buffer>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get allocatedBytes(): number {
    return this.#pages.size * pageBytes;
  }

  read(at: number, into: Buffer): number {
    const count = Math.max(0, Math.min(into.length, this.#size - at));
    for (const part of partsOf(at, count)) {
      const page = this.#pages.get(part.page);
      if (page === undefined) into.fill(0, part.done, part.done + part.length);
      else page.copy(into, part.done, part.within, part.within + part.length);
    }
    return count;
  }

  write(at: number, bytes: Buffer): void {
    for (const part of partsOf(at, bytes.length))
      bytes.copy(this.#make(part.page), part.within, part.done, part.done + part.length);
    this.#size = Math.max(this.#size, at + bytes.length);
  }

  #make(number: number): Buffer {
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = Buffer.alloc(pageBytes);
      this.#pages.set(number, page);
    }
    return page;
  }

  truncate(size: number): void {
    if (size < this.#size) {
      const firstGone = Math.ceil(size / pageBytes);
      for (const number of this.#pages.keys()) if (number >= firstGone) this.#pages.delete(number);
      this.#pages.get(firstGone - 1)?.fill(0, size % pageBytes || pageBytes);
    }
    this.#size = size;
  }

  allocate(at: number, length: number, keepSize: boolean): void {
    for (const part of partsOf(at, length)) this.#make(part.page);
    if (!keepSize) this.#size = Math.max(this.#size, at + length);
  }

  punch(at: number, length: number): void {
    const end = at + length;
    for (const [number, page] of this.#pages) {
      const start = number * pageBytes;
      if (start >= at && start + pageBytes <= end) this.#pages.delete(number);
      else if (start < end && start + pageBytes > at)
        page.fill(0, Math.max(0, at - start), Math.min(pageBytes, end - start));
    }
  }

  /** The next place at or after `at` whose page is there (`data`) or is not. */
  seek(at: number, data: boolean): number | undefined {
    const numbers = [...this.#pages.keys()].filter((number) => (number + 1) * pageBytes > at).sort((a, b) => a - b);
    if (data) {
      const first = numbers[0];
      const found = first === undefined ? this.#size : Math.max(at, first * pageBytes);
      return found < this.#size ? found : undefined;
    }
    let number = Math.floor(at / pageBytes);
    for (const there of numbers) {
      if (there !== number) break;
      number += 1;
    }
    return Math.min(this.#size, Math.max(at, number * pageBytes));
  }
}

interface Part {
  readonly page: number;
  readonly within: number;
  readonly done: number;
  readonly length: number;
}

function* partsOf(at: number, length: number): Generator<Part> {
  for (let done = 0; done < length; ) {
    const within = (at + done) % pageBytes;
    const part = Math.min(pageBytes - within, length - done);
    yield { page: Math.floor((at + done) / pageBytes), within, done, length: part };
    done += part;
  }
}
