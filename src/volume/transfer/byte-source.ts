/** Takes a stream apart into pieces of asked lengths; holds no more of it than the longest asked, and a piece of the stream's. */
export class ByteSource {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #waiting: Buffer = Buffer.alloc(0);

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** @returns Exactly so many bytes, the caller's; undefined when the stream ends before. */
  async take(count: number): Promise<Buffer | undefined> {
    const taken = Buffer.alloc(count);
    for (let filled = 0; filled < count; ) {
      if (this.#waiting.length === 0) {
        const { done, value } = await this.#pieces.next();
        if (done === true) return undefined;
        this.#waiting = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      }
      const copied = this.#waiting.copy(taken, filled);
      this.#waiting = this.#waiting.subarray(copied);
      filled += copied;
    }
    return taken;
  }
}
