/** Of the slot that is being sealed or opened: calls never overlap. What is not written stays zero. */
const bytes = Buffer.alloc(60);
bytes.write("sealfs/1", "latin1");

/**
 * What a slot's seal is bound to: file, level (0 a block, 1 and above a page of the map), number within the level, slot,
 * birth, generation of the zone's key, and length. 60 bytes:
 *
 *     "sealfs/1" ‖ level 4 ‖ generation 4 ‖ file id 16 ‖ number 8 ‖ slot 8 ‖ birth 8 ‖ length 4
 */
export class SlotBinding {
  readonly #fileId: Buffer;

  constructor(fileId: Buffer) {
    this.#fileId = fileId;
  }

  /** @returns The associated data, valid until the next call, of whatever file. */
  of(level: number, number: number, slot: number, birth: number, generation: number, length: number): Buffer {
    bytes.writeUInt32BE(level, 8);
    bytes.writeUInt32BE(generation, 12);
    bytes.set(this.#fileId, 16);
    bytes.writeUIntBE(number, 34, 6);
    bytes.writeUIntBE(slot, 42, 6);
    bytes.writeUIntBE(birth, 50, 6);
    bytes.writeUInt32BE(length, 56);
    return bytes;
  }
}
