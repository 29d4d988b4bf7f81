/** How much of one kind is kept. */
const mostSpare = 64;

/** Memory that open files gave back, for those that are opened next: to make it anew costs more than all else about a small file. */
export class SpareMemory {
  readonly #spare: Buffer[] = [];

  /** @returns Zeros, the caller's alone until it gives them back. */
  take(byteLength: number): Buffer {
    const last = this.#spare.pop();
    return last?.length === byteLength ? last : Buffer.alloc(byteLength);
  }

  /** @param bytes - Wiped; whoever gives it must not use it, nor give it, again. */
  giveBack(bytes: Buffer): void {
    if (this.#spare.length < mostSpare) this.#spare.push(bytes);
  }
}
