import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The parsed file of test/vectors. The shape is the caller's claim; a wrong one fails the test that reads it. */
export function loadVectors<T>(name: string): T {
  return JSON.parse(readFileSync(join(import.meta.dirname, "../../vectors", name), "utf8"));
}

export function fromHex(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

/** `bytes` with one bit inverted. */
export function withBitFlipped(bytes: Uint8Array, bit: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return changed;
}
