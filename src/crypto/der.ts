/** The few ASN.1 types that EC keys and SM2 values are made of, in strict DER (ITU-T X.690). */

export const derTags = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  sequence: 0x30,
  explicit0: 0xa0,
  explicit1: 0xa1,
} as const;

const maxContentBytes = 0xff_ffff;

/**
 * Walks one level of DER. Views into the input are returned, nothing is copied. Lengths must be minimal and inside the
 * input; any breach throws what `refuse` makes.
 */
export class DerReader {
  readonly #bytes: Buffer;
  readonly #refuse: () => Error;
  #offset = 0;

  constructor(bytes: Uint8Array, refuse: () => Error) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#refuse = refuse;
  }

  /** The tag that comes next, or undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#offset];
  }

  /** The content of the next element, which must have this tag. */
  read(tag: number): Buffer {
    if (this.#next() !== tag) throw this.#refuse();
    const length = this.#length();
    const content = this.#bytes.subarray(this.#offset, this.#offset + length);
    if (content.length !== length) throw this.#refuse();
    this.#offset += length;
    return content;
  }

  /** A reader of the next element's content. */
  enter(tag: number): DerReader {
    return new DerReader(this.read(tag), this.#refuse);
  }

  /** A non-negative INTEGER of at most `byteLength` bytes, left-padded to it. A new Buffer: the caller wipes it if secret. */
  readUnsigned(byteLength: number): Buffer {
    const content = this.read(derTags.integer);
    const [first = 0x80, second = 0] = content;
    if (first >= 0x80 || (content.length > 1 && first === 0 && second < 0x80)) throw this.#refuse();
    const magnitude = first === 0 ? content.subarray(1) : content;
    if (magnitude.length > byteLength) throw this.#refuse();
    const padded = Buffer.alloc(byteLength);
    padded.set(magnitude, byteLength - magnitude.length);
    return padded;
  }

  /** Refuses bytes after the last element. */
  end(): void {
    if (this.#offset !== this.#bytes.length) throw this.#refuse();
  }

  #next(): number {
    const byte = this.#bytes[this.#offset];
    if (byte === undefined) throw this.#refuse();
    this.#offset += 1;
    return byte;
  }

  #length(): number {
    const first = this.#next();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > 3) throw this.#refuse();
    let length = 0;
    for (let i = 0; i < count; i++) length = (length << 8) | this.#next();
    if (length < 0x80 || length >> (8 * (count - 1)) === 0 || length > maxContentBytes) throw this.#refuse();
    return length;
  }
}

/** One element. The caller wipes the result when a part is secret. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length > maxContentBytes) throw new RangeError(`a DER element holds at most ${maxContentBytes} bytes`);
  const header = [tag];
  if (length < 0x80) header.push(length);
  else if (length < 0x100) header.push(0x81, length);
  else if (length < 0x1_0000) header.push(0x82, length >> 8, length & 0xff);
  else header.push(0x83, length >> 16, (length >> 8) & 0xff, length & 0xff);
  const element = Buffer.allocUnsafeSlow(header.length + length);
  element.set(header);
  let at = header.length;
  for (const part of parts) {
    element.set(part, at);
    at += part.length;
  }
  return element;
}

/** A non-negative INTEGER from big-endian bytes, in its shortest form. */
export function derUnsigned(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const magnitude = bytes.subarray(start);
  return der(
    derTags.integer,
    (magnitude[0] ?? 0) >= 0x80 || magnitude.length === 0 ? Buffer.of(0) : Buffer.of(),
    magnitude,
  );
}
