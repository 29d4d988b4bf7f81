import type { Socket } from "node:net";
import { type FrameBody, FrameReader, FrameWriter } from "./frames.ts";

/** A turn of the event loop that takes longer sends what it has so far: the other side works on it meanwhile. */
const longestHoldMs = 0.5;

/**
 * Frames over a socket, in batches: what is written within one turn of the event loop leaves in one write, or in a few if the turn
 * is long. Bytes are wiped on both sides once they are written or read.
 */
export class FramePipe {
  readonly writer = new FrameWriter();
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  readonly #flush = (): void => this.flush();
  #willFlush = false;
  #heldSinceMs = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Hands what has arrived to `take`. @throws What `take` throws, and `FrameError`. */
  arrived(chunk: Buffer, take: (type: number, body: FrameBody) => void): void {
    this.#reader.push(chunk, take);
  }

  /** Sends what the writer has gathered by the end of this turn at the latest. */
  schedule(): void {
    const nowMs = performance.now();
    if (this.#heldSinceMs === 0) this.#heldSinceMs = nowMs;
    else if (nowMs - this.#heldSinceMs > longestHoldMs) {
      this.#send();
      return;
    }
    if (this.#willFlush) return;
    this.#willFlush = true;
    setImmediate(this.#flush);
  }

  /** Sends it now. */
  flush(written?: () => void): void {
    this.#willFlush = false;
    this.#send(written);
  }

  #send(written?: () => void): void {
    this.#heldSinceMs = 0;
    if (this.writer.byteLength === 0) {
      if (written !== undefined) setImmediate(written);
      return;
    }
    const batch = this.writer.take();
    if (!this.#socket.writable) {
      this.writer.giveBack(batch);
      return;
    }
    this.#socket.write(batch, () => {
      this.writer.giveBack(batch);
      written?.();
    });
  }
}
