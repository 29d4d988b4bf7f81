import type { Geometry } from "./geometry.ts";

/**
 * One entry of a page of the map, or of its root: epoch 1 ‖ slot 5 ‖ birth 6, and with `tree` the slot's tag 16. All zeros for a
 * hole. A window that moves: it shows another entry after the next call that finds one.
 */
const nowhere = Buffer.alloc(0);

export class MapEntry {
  readonly #tagged: boolean;
  readonly #entryBytes: number;
  node: Buffer = nowhere;
  #at = 0;

  constructor(geometry: Geometry) {
    this.#tagged = geometry.tagged;
    this.#entryBytes = geometry.entryBytes;
  }

  moveTo(node: Buffer, position: number): this {
    this.node = node;
    this.#at = position * this.#entryBytes;
    return this;
  }

  get epoch(): number {
    return this.node.readUInt8(this.#at);
  }

  /** 0 for a hole. */
  get slot(): number {
    return this.node.readUIntBE(this.#at + 1, 5);
  }

  get birth(): number {
    return this.node.readUIntBE(this.#at + 6, 6);
  }

  /** True when `bytes` holds this entry's tag at a place; always true for a map without tags. */
  hasTag(bytes: Buffer, at: number): boolean {
    return !this.#tagged || bytes.compare(this.node, this.#at + 12, this.#at + 28, at, at + 16) === 0;
  }

  /** @param tagAt - Where `sealed` holds the slot's tag. */
  set(epoch: number, slot: number, birth: number, sealed: Buffer, tagAt: number): void {
    this.node.writeUInt8(epoch, this.#at);
    this.node.writeUIntBE(slot, this.#at + 1, 5);
    this.node.writeUIntBE(birth, this.#at + 6, 6);
    if (this.#tagged) sealed.copy(this.node, this.#at + 12, tagAt, tagAt + 16);
  }

  clear(): void {
    this.node.fill(0, this.#at, this.#at + this.#entryBytes);
  }
}
