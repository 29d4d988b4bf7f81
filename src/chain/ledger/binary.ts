import { LedgerError } from "./errors.ts";

/** Integers are big-endian; a height or a time takes 8 bytes and is at most 2^53 - 1. Byte strings have a u32 length before them. */
export class BinaryWriter {
  readonly #parts: Buffer[] = [];

  u8(value: number): this {
    return this.fixed(Buffer.of(value));
  }

  u16(value: number): this {
    const bytes = Buffer.allocUnsafe(2);
    bytes.writeUInt16BE(value);
    return this.fixed(bytes);
  }

  u32(value: number): this {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32BE(value);
    return this.fixed(bytes);
  }

  u64(value: number): this {
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeBigUInt64BE(BigInt(value));
    return this.fixed(bytes);
  }

  /** Bytes whose length the format fixes. */
  fixed(bytes: Buffer): this {
    this.#parts.push(bytes);
    return this;
  }

  bytes(bytes: Buffer): this {
    return this.u32(bytes.length).fixed(bytes);
  }

  text(text: string): this {
    return this.bytes(Buffer.from(text, "utf8"));
  }

  end(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/**
 * Reads what {@link BinaryWriter} wrote, strictly: every length is checked against a limit and against what is there before
 * anything is taken. Byte strings are copies, so that a small value does not hold a large frame in memory.
 *
 * All methods throw {@link LedgerError} `ENCODING_INVALID`.
 */
export class BinaryReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  /** @param what - Names the thing in errors: "the block". */
  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  u8(): number {
    return this.#take(1).readUInt8();
  }

  u16(): number {
    return this.#take(2).readUInt16BE();
  }

  u32(): number {
    return this.#take(4).readUInt32BE();
  }

  u64(): number {
    const value = this.#take(8).readBigUInt64BE();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.invalid("has a number above 2^53 - 1");
    return Number(value);
  }

  fixed(length: number): Buffer {
    return Buffer.from(this.#take(length));
  }

  bytes(most: number, least = 0): Buffer {
    const length = this.u32();
    if (length < least || length > most)
      throw this.invalid(`has ${length} bytes where ${least} to ${most} are allowed`);
    return this.fixed(length);
  }

  text(mostBytes: number): string {
    const bytes = this.bytes(mostBytes, 1);
    const text = bytes.toString("utf8");
    if (!Buffer.from(text, "utf8").equals(bytes)) throw this.invalid("has text that is not UTF-8");
    return text;
  }

  /** A count of things that follow, each of which takes at least `leastBytes`. */
  count(most: number, leastBytes: number): number {
    const count = this.u32();
    if (count > most || count * leastBytes > this.#bytes.length - this.#at)
      throw this.invalid(`says that ${count} parts follow, where at most ${most} can`);
    return count;
  }

  /** One byte that is 0 or 1. */
  flag(): boolean {
    const value = this.u8();
    if (value > 1) throw this.invalid("has a flag that is neither 0 nor 1");
    return value === 1;
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw this.invalid("goes on after its end");
  }

  invalid(problem: string): LedgerError {
    return new LedgerError("ENCODING_INVALID", `${this.#what} ${problem}`);
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw this.invalid("ends too early");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}
