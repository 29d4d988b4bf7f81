import { createCipheriv, createHash } from "node:crypto";

const poolBytes = 1 << 20;

/** Random bytes that the run's seed decides: cheap enough for a million cases. */
export class SeededBytes {
  readonly #stream;
  #pool: Buffer = Buffer.alloc(0);

  /** @param purpose - Gives each user of one seed bytes of its own. */
  constructor(seed: number, purpose: string) {
    const key = createHash("sha256").update(`${seed} ${purpose}`).digest();
    this.#stream = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  }

  /** A copy of the next bytes. */
  bytes(length: number): Buffer {
    while (this.#pool.length < length)
      this.#pool = Buffer.concat([this.#pool, this.#stream.update(Buffer.alloc(poolBytes))]);
    const taken = Buffer.from(this.#pool.subarray(0, length));
    this.#pool = this.#pool.subarray(length);
    return taken;
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    return this.bytes(6).readUIntBE(0, 6) % limit;
  }
}
