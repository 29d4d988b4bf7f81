import type { BulkHash } from "./wasm-bulk-hash.ts";
import { blockBytes, layout, passBytes } from "./wasm-layout.ts";
import type { Sm4Machine } from "./wasm-machine.ts";

/** Up to this much of associated data and text together, a message is hashed here; OpenSSL's start costs more. */
export const shortMessageBytes = 1024;

/** Puts a counter where the counter-mode kernel takes it, its lowest byte first. */
export function setCounter(memory: Buffer, counter: Uint8Array): void {
  for (let place = 0; place < blockBytes; place++) memory[layout.counter + place] = counter[15 - place] as number;
}

/** GCM's counter block of a 12-byte nonce: 1 masks the tag, the text begins at 2. */
export function firstCounter(nonce: Uint8Array, count: 1 | 2): Uint8Array {
  const counter = new Uint8Array(blockBytes);
  counter.set(nonce);
  counter[15] = count;
  return counter;
}

/** Begins a hash with the associated data of a short message. */
export function hashShort({ memory, ghash }: Sm4Machine, associatedData: Uint8Array): void {
  memory.fill(0, layout.hash, layout.hash + blockBytes);
  if (associatedData.length === 0) return;
  const blocks = Math.ceil(associatedData.length / blockBytes);
  memory.set(associatedData, layout.data);
  memory.fill(0, layout.data + associatedData.length, layout.data + blocks * blockBytes);
  ghash(layout.data, blocks);
}

/**
 * Encrypts a short text, which lies one block into the data, together with that block as zeros: its keystream masks the tag.
 *
 * @returns How many bytes of the data were used.
 */
export function encryptShort({ memory, ctr }: Sm4Machine, nonce: Uint8Array, textLength: number): number {
  const passes = Math.ceil((blockBytes + textLength) / passBytes);
  memory.fill(0, layout.data, layout.data + blockBytes);
  setCounter(memory, firstCounter(nonce, 1));
  ctr(layout.data, passes);
  return Math.max(passes * passBytes, shortMessageBytes + 3 * blockBytes);
}

/** Hashes the ciphertext that lies one block into the data, and the lengths. What follows it there is overwritten. */
export function endShortHash({ memory, ghash }: Sm4Machine, associatedDataLength: number, textLength: number): void {
  const blocks = Math.ceil(textLength / blockBytes);
  const text = layout.data + blockBytes;
  const end = text + blocks * blockBytes;
  memory.fill(0, text + textLength, end + blockBytes);
  xorBitLength(memory, end, associatedDataLength);
  xorBitLength(memory, end + 8, textLength);
  ghash(text, blocks + 1);
}

/** Makes the message's tag of that of {@link BulkHash}. */
export function bulkTag(
  { memory, ghash }: Sm4Machine,
  hash: BulkHash,
  associatedDataLength: number,
  textLength: number,
  tag: Uint8Array,
): void {
  const hashedBytes = hash.finish(tag);
  memory.fill(0, layout.data, layout.data + blockBytes);
  xorBitLength(memory, layout.data, hashedBytes);
  xorBitLength(memory, layout.data, associatedDataLength);
  xorBitLength(memory, layout.data + 8, textLength);
  memory.fill(0, layout.hash, layout.hash + blockBytes);
  ghash(layout.data, 1);
  memory.fill(0, layout.data, layout.data + blockBytes);
  xorInto(tag, memory, layout.hash);
}

/** XORs the length in bits of so many bytes into 8 bytes of memory, big-endian. */
function xorBitLength(memory: Buffer, at: number, byteLength: number): void {
  const high = Math.floor(byteLength / 2 ** 29);
  memory.writeUInt32BE((memory.readUInt32BE(at) ^ high) >>> 0, at);
  memory.writeUInt32BE((memory.readUInt32BE(at + 4) ^ (byteLength << 3)) >>> 0, at + 4);
}

/** XORs 16 bytes of memory into `target`. */
export function xorInto(target: Uint8Array, memory: Buffer, from: number): void {
  for (let index = 0; index < blockBytes; index++)
    target[index] = (target[index] as number) ^ (memory[from + index] as number);
}
