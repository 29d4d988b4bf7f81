/** Reads protobuf's wire format. Undefined where the bytes end too early, or a number is not in its shortest form. */
export class WireReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** A number of up to 64 bits, unsigned. */
  varint(): bigint | undefined {
    let value = 0n;
    for (let index = 0; index < 10; index += 1) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) return undefined;
      this.#at += 1;
      value |= BigInt(byte & 0x7f) << BigInt(7 * index);
      if (byte >= 0x80) continue;
      // A last byte of zero adds nothing.
      const isShortest = index === 0 || byte !== 0;
      return isShortest && value <= 0xffff_ffff_ffff_ffffn ? value : undefined;
    }
    return undefined;
  }

  /** As {@link varint}, of a number of which only those below 2^53 are told exactly: all that tags and lengths can be. */
  smallVarint(): number | undefined {
    let value = 0;
    let place = 1;
    for (let index = 0; index < 10; index += 1) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) return undefined;
      this.#at += 1;
      value += (byte & 0x7f) * place;
      place *= 0x80;
      if (byte < 0x80) return index === 0 || byte !== 0 ? value : undefined;
    }
    return undefined;
  }

  /** A view of the next bytes, whose length stands before them. */
  lengthDelimited(): Uint8Array | undefined {
    const length = this.smallVarint();
    return length === undefined ? undefined : this.fixed(length);
  }

  /** A view of the next bytes. */
  fixed(byteLength: number): Uint8Array | undefined {
    if (byteLength > this.#bytes.length - this.#at) return undefined;
    this.#at += byteLength;
    return this.#bytes.subarray(this.#at - byteLength, this.#at);
  }
}
