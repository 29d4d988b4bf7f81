/**
 * Frames between an enclave and its host's agent: `length (u32, of what follows) ‖ kind (u8) ‖ call number (u32)` and then
 * parts, each `length (u32) ‖ bytes`. Numbers are big-endian. No secret ever is in one: what crosses is sealed, encrypted to
 * an enclave, or public.
 */
export type FrameKind = "call" | "answer" | "fault";

export interface Frame {
  readonly kind: FrameKind;
  /** By which an answer or fault belongs to its call; each side counts its own calls. */
  readonly number: number;
  /** Of a call, its name first; of a fault, its text alone. */
  readonly parts: readonly Buffer[];
}

/** Four of the longest messages, with what is around them. */
export const longestFrameBytes = 4 * 1024 * 1024 + 64 * 1024;
export const mostParts = 256;

const kinds: readonly FrameKind[] = ["call", "answer", "fault"];
const headBytes = 9;

/** A frame that neither side writes: the connection is of no more use. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** @throws FrameError above a limit */
export function encodeFrame(frame: Frame): Buffer {
  const bodyBytes = frame.parts.reduce((bytes, part) => bytes + 4 + part.length, headBytes - 4);
  if (bodyBytes > longestFrameBytes) throw new FrameError(`a frame of ${bodyBytes} bytes is too long`);
  if (frame.parts.length > mostParts) throw new FrameError(`a frame of ${frame.parts.length} parts has too many`);
  const bytes = Buffer.allocUnsafe(4 + bodyBytes);
  bytes.writeUInt32BE(bodyBytes, 0);
  bytes.writeUInt8(kinds.indexOf(frame.kind), 4);
  bytes.writeUInt32BE(frame.number, 5);
  let at = headBytes;
  for (const part of frame.parts) {
    at = bytes.writeUInt32BE(part.length, at);
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Cuts what arrives, in whatever pieces, into frames. */
export class FrameCutter {
  #pieces: Buffer[] = [];
  #bytes = 0;

  /** The frames that are whole now. @throws FrameError */
  push(chunk: Buffer): Frame[] {
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    const frames: Frame[] = [];
    for (let needed = this.#needed(); needed !== undefined && needed <= this.#bytes; needed = this.#needed()) {
      const all = this.#joined();
      frames.push(decodeBody(all.subarray(4, needed)));
      this.#pieces = needed === all.length ? [] : [all.subarray(needed)];
      this.#bytes -= needed;
    }
    return frames;
  }

  /** Bytes of the frame that has begun; undefined before its length is there. */
  #needed(): number | undefined {
    if (this.#bytes < 4) return undefined;
    const first = this.#pieces[0];
    const head = first !== undefined && first.length >= 4 ? first : this.#joined();
    const length = head.readUInt32BE(0);
    if (length < headBytes - 4 || length > longestFrameBytes)
      throw new FrameError(`a frame says that it has ${length} bytes`);
    return 4 + length;
  }

  #joined(): Buffer {
    if (this.#pieces.length !== 1) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0] ?? Buffer.alloc(0);
  }
}

function decodeBody(body: Buffer): Frame {
  const kind = kinds[body.readUInt8(0)];
  if (kind === undefined) throw new FrameError(`there is no frame of kind ${body.readUInt8(0)}`);
  const parts: Buffer[] = [];
  for (let at = headBytes - 4; at < body.length; ) {
    if (at + 4 > body.length || parts.length === mostParts)
      throw new FrameError("a frame is cut, or of too many parts");
    const start = at + 4;
    at = start + body.readUInt32BE(at);
    if (at > body.length) throw new FrameError("a frame is cut");
    parts.push(Buffer.from(body.subarray(start, at)));
  }
  return { kind, number: body.readUInt32BE(1), parts };
}
