/** An object of a JSON file: names to objects, whole numbers, or the bytes of strings. */
export type JsonBytes = ReadonlyMap<string, Buffer | number | JsonBytes>;

const maxDepth = 4;
const maxMembers = 16;
const maxNameBytes = 32;
const maxDigits = 10;

/**
 * Reads JSON (RFC 8259) made of nothing but objects, strings without escapes and whole numbers, and never makes a
 * JavaScript string of a value: strings come back as views into `file`, since one of them may be a private key.
 * A name that comes twice is refused.
 *
 * @param refuse - Makes the error that is thrown for everything else.
 */
export function readJsonBytes(file: Buffer, refuse: () => Error): JsonBytes {
  const reader = new Reader(file, refuse);
  const value = reader.object(1);
  reader.end();
  return value;
}

class Reader {
  readonly #file: Buffer;
  readonly #refuse: () => Error;
  #at = 0;

  constructor(file: Buffer, refuse: () => Error) {
    this.#file = file;
    this.#refuse = refuse;
  }

  object(depth: number): JsonBytes {
    if (depth > maxDepth) throw this.#refuse();
    const members = new Map<string, Buffer | number | JsonBytes>();
    this.#expect("{");
    if (this.#next() === "}") {
      this.#at += 1;
      return members;
    }
    for (;;) {
      const name = this.#string();
      const known = name.length <= maxNameBytes && name.every((byte) => byte >= 0x20 && byte < 0x7f);
      const key = known ? name.toString("latin1") : "";
      if (!known || members.has(key) || members.size === maxMembers) throw this.#refuse();
      this.#expect(":");
      members.set(key, this.#value(depth));
      const separator = this.#next();
      this.#at += 1;
      if (separator === "}") return members;
      if (separator !== ",") throw this.#refuse();
    }
  }

  end(): void {
    if (this.#next() !== "") throw this.#refuse();
  }

  #value(depth: number): Buffer | number | JsonBytes {
    const first = this.#next();
    if (first === "{") return this.object(depth + 1);
    return first === '"' ? this.#string() : this.#number();
  }

  #string(): Buffer {
    this.#expect('"');
    const start = this.#at;
    for (; ; this.#at++) {
      const byte = this.#file[this.#at];
      if (byte === 0x22) break;
      if (byte === undefined || byte < 0x20 || byte === 0x5c) throw this.#refuse();
    }
    this.#at += 1;
    return this.#file.subarray(start, this.#at - 1);
  }

  #number(): number {
    const start = this.#at;
    let value = 0;
    for (; ; this.#at++) {
      const byte = this.#file[this.#at] ?? 0;
      if (byte < 0x30 || byte > 0x39) break;
      value = value * 10 + byte - 0x30;
    }
    const digits = this.#at - start;
    if (digits === 0 || digits > maxDigits || (digits > 1 && this.#file[start] === 0x30)) throw this.#refuse();
    return value;
  }

  #expect(character: string): void {
    if (this.#next() !== character) throw this.#refuse();
    this.#at += 1;
  }

  /** The next character that is not white space, which stays; empty at the end. */
  #next(): string {
    for (; ; this.#at++) {
      const byte = this.#file[this.#at];
      if (byte === undefined) return "";
      if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return String.fromCharCode(byte);
    }
  }
}
