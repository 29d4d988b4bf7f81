/** A copy with one bit changed, counted from the first byte's lowest. */
export function flipBit(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return copy;
}

/** So many different numbers below `end`, the same for the same seed. */
export function numbers(seed: number, count: number, end: number): number[] {
  const picked = new Set<number>();
  for (let state = seed >>> 0; picked.size < Math.min(count, end); ) {
    // Numerical Recipes' generator; its high bits are good enough to spread tests.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    picked.add(Math.floor((state / 2 ** 32) * end));
  }
  return [...picked];
}
