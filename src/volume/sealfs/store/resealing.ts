import type { FileParts } from "./file-parts.ts";
import { nextData } from "./map-search.ts";

/** Seals blocks anew that lie under an older generation of the zone's key, piece by piece. */
export class Resealing {
  readonly #parts: FileParts;
  #next = 0;
  #generation = 0;
  #isDone = false;

  constructor(parts: FileParts) {
    this.#parts = parts;
  }

  /** True when the last {@link run} reached the end: what is left, are pages and a head, which the next commit writes. */
  isDone(): boolean {
    return this.#isDone;
  }

  /** True for a generation older than the zone's newest. */
  isOlder(generation: number | undefined): boolean {
    return generation !== undefined && generation < this.#parts.epochs.newestGeneration;
  }

  /**
   * Goes on from where the last call stopped.
   *
   * @param mostBytes - Stops when so many bytes have been sealed.
   * @throws {FsError} EIO at a damaged block, each time it is reached. ENOSPC.
   */
  run(mostBytes: number): void {
    const { epochs, map, access, geometry } = this.#parts;
    if (this.#isDone || this.#generation !== epochs.newestGeneration) this.#next = 0;
    this.#isDone = !epochs.inUse.some((epoch) => epoch.slots > 0 && this.isOlder(epoch.generation));
    if (this.#isDone) return;
    this.#generation = epochs.newestGeneration;
    const current = epochs.current();
    const plaintext = Buffer.alloc(geometry.blockBytes);
    try {
      for (let left = mostBytes; left > 0; ) {
        const block = nextData(map, this.#next, Number.MAX_SAFE_INTEGER);
        this.#isDone = block === undefined;
        if (block === undefined) break;
        const epoch = epochs.at(map.find(block)?.epoch ?? -1);
        if (epoch !== undefined && epoch !== current && this.isOlder(epoch.generation)) {
          const length = access.readInto(block, plaintext);
          access.writeShort(block, plaintext, length);
          left -= geometry.blockBytes;
          map.settle();
        }
        this.#next = block + 1;
      }
    } finally {
      plaintext.fill(0);
    }
  }
}
