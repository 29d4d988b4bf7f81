import { damaged } from "./errors.ts";
import { isFolderName, maxPathSegments, zoneIdBytes } from "./zone.ts";

/** Writes the body of a record: big-endian numbers, length-prefixed bytes. */
export class BodyWriter {
  readonly #parts: Buffer[] = [];

  u8(value: number): this {
    this.#parts.push(Buffer.of(value));
    return this;
  }

  u16(value: number): this {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16BE(value);
    this.#parts.push(bytes);
    return this;
  }

  u32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    this.#parts.push(bytes);
    return this;
  }

  u48(value: number): this {
    const bytes = Buffer.alloc(6);
    bytes.writeUIntBE(value, 0, 6);
    this.#parts.push(bytes);
    return this;
  }

  /** Milliseconds since 1970. */
  time(ms: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(ms));
    this.#parts.push(bytes);
    return this;
  }

  fixed(bytes: Buffer): this {
    this.#parts.push(bytes);
    return this;
  }

  /** `length (u16) ‖ bytes`. */
  bytes(bytes: Buffer): this {
    return this.u16(bytes.length).fixed(bytes);
  }

  /** `count (u8)`, then for each name `length (u8) ‖ bytes`. */
  path(path: readonly string[]): this {
    this.u8(path.length);
    for (const name of path) this.u8(name.length).fixed(Buffer.from(name, "latin1"));
    return this;
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** Reads what {@link BodyWriter} wrote; copies what it returns. Anything else is `KEY_TABLE_DAMAGED`. */
export class BodyReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u8(): number {
    return this.#take(1).readUInt8(0);
  }

  u16(): number {
    return this.#take(2).readUInt16BE(0);
  }

  u32(): number {
    return this.#take(4).readUInt32BE(0);
  }

  u48(): number {
    return this.#take(6).readUIntBE(0, 6);
  }

  time(): number {
    const ms = Number(this.#take(8).readBigUInt64BE(0));
    if (!Number.isSafeInteger(ms)) throw damaged("a record has a time out of range");
    return ms;
  }

  zoneId(): Buffer {
    return Buffer.from(this.#take(zoneIdBytes));
  }

  fixed(length: number): Buffer {
    return Buffer.from(this.#take(length));
  }

  bytes(least: number, most: number): Buffer {
    const length = this.u16();
    if (length < least || length > most) throw damaged("a record has a field of a wrong length");
    return Buffer.from(this.#take(length));
  }

  /** One byte that stands for one of `choices`. */
  oneOf<T>(choices: Readonly<Record<number, T>>): T {
    const choice = choices[this.u8()];
    if (choice === undefined) throw damaged("a record has a value that this version does not know");
    return choice;
  }

  path(): readonly string[] {
    const count = this.u8();
    if (count > maxPathSegments) throw damaged("a record has a path that is too deep");
    const path: string[] = [];
    for (let i = 0; i < count; i++) {
      const name = this.#take(this.u8()).toString("latin1");
      if (!isFolderName(name)) throw damaged("a record has a path that no folder can have");
      path.push(name);
    }
    return path;
  }

  /** Refuses bytes after the last field. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw damaged("a record is longer than its fields");
  }

  #take(length: number): Buffer {
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    if (taken.length !== length) throw damaged("a record is shorter than its fields");
    this.#at += length;
    return taken;
  }
}
