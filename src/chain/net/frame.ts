import { NetError } from "./errors.ts";

/** What a frame carries. Anything else ends the connection. */
export const frameTypes = { hello: 1, proof: 2, ping: 3, pong: 4, message: 5 } as const;
export type FrameType = (typeof frameTypes)[keyof typeof frameTypes];

export interface Frame {
  readonly type: FrameType;
  readonly body: Buffer;
}

const lengthBytes = 4;
/** The most that one frame may carry once the peer is known: a block of the largest size, and some room. */
export const maxFrameBodyBytes = 8 << 20;

/**
 * One frame: `length u32 ‖ type u8 ‖ body`, big-endian; the length counts type and body.
 *
 * @throws {RangeError} For a body over {@link maxFrameBodyBytes}.
 */
export function encodeFrame(type: FrameType, ...body: readonly Uint8Array[]): Buffer {
  const bodyBytes = body.reduce((sum, part) => sum + part.length, 0);
  if (bodyBytes > maxFrameBodyBytes) throw new RangeError(`a frame of ${bodyBytes} bytes is over the limit`);
  const frame = Buffer.allocUnsafe(lengthBytes + 1 + bodyBytes);
  frame.writeUInt32BE(1 + bodyBytes, 0);
  frame[lengthBytes] = type;
  let at = lengthBytes + 1;
  for (const part of body) {
    frame.set(part, at);
    at += part.length;
  }
  return frame;
}

/** A peer that sends single bytes would make each take a buffer of its own: so many chunks below this size become one. */
const smallBytes = 1024;
const maxSmallChunks = 1024;

/** Cuts a stream of bytes into frames. It holds at most one unfinished frame, never more than its limit. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  /** How many of the last chunks are small. */
  #smallChunks = 0;
  #maxBodyBytes: number;

  /** @param maxBodyBytes - The most that a frame's body may have; {@link allow} changes it. */
  constructor(maxBodyBytes: number) {
    this.#maxBodyBytes = maxBodyBytes;
  }

  /** Bytes of frames that have not been taken yet. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** In how many pieces they are kept. */
  get heldChunks(): number {
    return this.#chunks.length;
  }

  /** Another limit for the frames that come next. */
  allow(maxBodyBytes: number): void {
    this.#maxBodyBytes = maxBodyBytes;
  }

  /** Takes bytes off the wire; {@link next} cuts them into frames. */
  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    const isSmall = chunk.length < smallBytes;
    if (!isSmall) this.#joinSmall();
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    if (isSmall && ++this.#smallChunks === maxSmallChunks) this.#joinSmall();
  }

  /**
   * The next whole frame, or undefined until more bytes have come.
   *
   * @throws {NetError} `FRAME_INVALID`, as soon as the header shows it.
   */
  next(): Frame | undefined {
    if (this.#heldBytes < lengthBytes + 1) return undefined;
    const header = this.#peek(lengthBytes + 1);
    const length = header.readUInt32BE(0);
    const type = header.readUInt8(lengthBytes);
    if (length < 1 || length - 1 > this.#maxBodyBytes)
      throw new NetError("FRAME_INVALID", `a frame of ${length} bytes came, the most is ${this.#maxBodyBytes + 1}`);
    if (!isFrameType(type)) throw new NetError("FRAME_INVALID", `a frame of unknown type ${type} came`);
    if (this.#heldBytes < lengthBytes + length) return undefined;
    const whole = this.#take(lengthBytes + length);
    return { type, body: whole.subarray(lengthBytes + 1) };
  }

  #joinSmall(): void {
    if (this.#smallChunks > 1) this.#chunks.push(Buffer.concat(this.#chunks.splice(-this.#smallChunks)));
    this.#smallChunks = 0;
  }

  #peek(bytes: number): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= bytes) return first;
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    this.#smallChunks = 0;
    return joined;
  }

  #take(bytes: number): Buffer {
    const [first] = this.#chunks;
    const joined =
      first !== undefined && first.length >= bytes ? first : Buffer.concat(this.#chunks.splice(0), this.#heldBytes);
    const rest = joined.subarray(bytes);
    const others = this.#chunks.slice(1);
    this.#chunks = rest.length > 0 ? [rest, ...others] : others;
    this.#smallChunks = Math.min(this.#smallChunks, this.#chunks.length);
    this.#heldBytes -= bytes;
    return joined.subarray(0, bytes);
  }
}

function isFrameType(type: number): type is FrameType {
  return type >= frameTypes.hello && type <= frameTypes.message;
}
