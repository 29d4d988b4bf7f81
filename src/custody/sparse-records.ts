const everyMs = 1000;

/**
 * Records that a caller gone wild could fill the disk with: one a second for each principal is written, the others are counted.
 * Those that are counted wait for it all the same, so that nothing is answered before a record of its kind is durable.
 */
export class SparseRecords {
  readonly #last = new Map<string, { readonly atMs: number; readonly written: Promise<unknown> }>();

  /**
   * @param write - Writes the record
   * @param count - Called instead where one was begun within the last second
   * @throws What `write` throws, at everyone who waits for it.
   */
  async take(principal: string, write: () => Promise<unknown>, count: () => void): Promise<void> {
    const atMs = performance.now();
    const last = this.#last.get(principal);
    if (last !== undefined && atMs - last.atMs < everyMs) {
      count();
      await last.written;
      return;
    }
    const written = write();
    this.#last.set(principal, { atMs, written });
    await written;
  }
}
