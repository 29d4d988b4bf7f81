/**
 * Frames between this process and a device's: `length (u32, of what follows) || type (u8) || body`. Numbers are little-endian.
 * A byte string in a body is `length (u32) || bytes`. Many frames travel in one write.
 */

const headerBytes = 5;
/** A call or an answer is far smaller; the configuration is the largest frame there is. */
export const longestFrameBytes = 16 * 1024 * 1024;
const firstBufferBytes = 16 * 1024;
/** Larger buffers than this are not kept for the next batch. */
const keptBufferBytes = 256 * 1024;

/** Thrown at a frame that nobody here writes; the pipe is of no more use. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** Gathers frames until they are taken for one write. */
export class FrameWriter {
  #buffer: Buffer = Buffer.allocUnsafeSlow(firstBufferBytes);
  #spare: Buffer | undefined;
  #length = 0;

  get byteLength(): number {
    return this.#length;
  }

  /** Starts a frame whose body has exactly `bodyBytes`; the writes that follow fill it. */
  begin(type: number, bodyBytes: number): void {
    const end = this.#length + headerBytes + bodyBytes;
    if (headerBytes + bodyBytes > longestFrameBytes)
      throw new RangeError(`a frame of ${bodyBytes} bytes exceeds ${longestFrameBytes}`);
    if (end > this.#buffer.length) this.#grow(end);
    this.u32(bodyBytes + 1);
    this.u8(type);
  }

  u8(value: number): void {
    this.#buffer[this.#length++] = value;
  }

  u16(value: number): void {
    this.#length = this.#buffer.writeUInt16LE(value, this.#length);
  }

  u32(value: number): void {
    this.#length = this.#buffer.writeUInt32LE(value, this.#length);
  }

  bytes(value: Uint8Array): void {
    this.u32(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /** What has gathered. The taker gives it back with {@link giveBack} once it is written. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length);
    this.#buffer = this.#spare ?? Buffer.allocUnsafeSlow(firstBufferBytes);
    this.#spare = undefined;
    this.#length = 0;
    return taken;
  }

  /** Wipes what was written and keeps its memory for a later batch. */
  giveBack(taken: Buffer): void {
    taken.fill(0);
    if (taken.buffer.byteLength <= keptBufferBytes) this.#spare = Buffer.from(taken.buffer, 0, taken.buffer.byteLength);
  }

  #grow(bytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(bytes, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer.fill(0);
    this.#buffer = larger;
  }
}

/** Reads the fields of one frame's body; every length is checked against the frame's end. */
export class FrameBody {
  #buffer: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  reset(buffer: Buffer, start: number, end: number): void {
    this.#buffer = buffer;
    this.#at = start;
    this.#end = end;
  }

  u8(): number {
    return this.#buffer[this.#skip(1)] ?? 0;
  }

  u16(): number {
    return this.#buffer.readUInt16LE(this.#skip(2));
  }

  u32(): number {
    return this.#buffer.readUInt32LE(this.#skip(4));
  }

  get atEnd(): boolean {
    return this.#at === this.#end;
  }

  /** A copy in memory of its own. */
  bytes(): Buffer {
    const length = this.u32();
    const start = this.#skip(length);
    const copy = Buffer.allocUnsafeSlow(length);
    this.#buffer.copy(copy, 0, start, start + length);
    return copy;
  }

  /** The byte strings up to the frame's end, as views of one copy, which may lie in a pool. */
  rest(): Buffer[] {
    const bytes = this.#end - this.#at;
    const copy = Buffer.allocUnsafe(bytes);
    this.#buffer.copy(copy, 0, this.#skip(bytes), this.#end);
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes; ) {
      if (at + 4 > bytes) throw new FrameError("a frame is cut");
      const start = at + 4;
      at = start + copy.readUInt32LE(at);
      if (at > bytes) throw new FrameError("a frame is cut");
      parts.push(copy.subarray(start, at));
    }
    return parts;
  }

  /** @throws {FrameError} Unless all of the body was read. */
  end(): void {
    if (this.#at !== this.#end) throw new FrameError("a frame has more than its fields");
  }

  #skip(bytes: number): number {
    const start = this.#at;
    this.#at += bytes;
    if (this.#at > this.#end) throw new FrameError("a frame is cut");
    return start;
  }
}

/** Cuts what arrives into frames. Bytes that it was given are wiped once they are read. */
export class FrameReader {
  readonly #body = new FrameBody();
  #kept: Buffer | undefined;
  #keptBytes = 0;

  /**
   * Hands every whole frame of what has arrived to `take`, and keeps a copy of the rest.
   *
   * @param chunk - Wiped before this returns.
   * @throws {FrameError} For a length that no frame has.
   */
  push(chunk: Buffer, take: (type: number, body: FrameBody) => void): void {
    try {
      if (this.#kept === undefined) this.#keep(chunk, this.#read(chunk, chunk.length, take));
      else this.#pushKept(chunk, take);
    } finally {
      chunk.fill(0);
    }
  }

  #pushKept(chunk: Buffer, take: (type: number, body: FrameBody) => void): void {
    const kept = this.#kept ?? Buffer.alloc(0);
    const bytes = this.#keptBytes + chunk.length;
    let joined = kept;
    if (bytes > kept.length) {
      joined = Buffer.allocUnsafeSlow(Math.max(bytes, Math.min(kept.length * 2, longestFrameBytes)));
      kept.copy(joined, 0, 0, this.#keptBytes);
      kept.fill(0);
    }
    chunk.copy(joined, this.#keptBytes);
    this.#kept = undefined;
    const read = this.#read(joined, bytes, take);
    if (read === 0) {
      this.#kept = joined;
      this.#keptBytes = bytes;
      return;
    }
    this.#keep(joined.subarray(0, bytes), read);
    joined.fill(0, 0, bytes);
  }

  #read(buffer: Buffer, bytes: number, take: (type: number, body: FrameBody) => void): number {
    let at = 0;
    while (at + 4 <= bytes) {
      const length = buffer.readUInt32LE(at);
      if (length === 0 || length > longestFrameBytes) throw new FrameError(`a frame says it has ${length} bytes`);
      const end = at + 4 + length;
      if (end > bytes) break;
      this.#body.reset(buffer, at + headerBytes, end);
      take(buffer[at + 4] ?? 0, this.#body);
      at = end;
    }
    return at;
  }

  #keep(buffer: Buffer, from: number): void {
    if (from === buffer.length) return;
    this.#keptBytes = buffer.length - from;
    this.#kept = Buffer.allocUnsafeSlow(this.#keptBytes);
    buffer.copy(this.#kept, 0, from);
  }
}
