/** A store in memory whose stored bytes a test can read and change behind the level's back. */
import { MemoryLevel } from "memory-level";
import { EncryptedLevel, type EncryptedLevelOptions, SecretBuffer } from "../../../src/level/index.ts";

export const bytes = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;

export type Base = MemoryLevel<Buffer, Buffer>;

export function memoryBase(): Base {
  return new MemoryLevel<Buffer, Buffer>(bytes);
}

/** The same data key every time it is asked for. */
export function dataKeyOf(fill: number): SecretBuffer {
  return SecretBuffer.copyOf(Buffer.alloc(32, fill));
}

export async function openOver(base: Base, options: Partial<EncryptedLevelOptions> = {}): Promise<EncryptedLevel> {
  const level = new EncryptedLevel(base, { dataKey: dataKeyOf(1), ...options });
  await level.open();
  return level;
}

/** Everything in the base but Strongroom's own records. */
export async function storedEntries(base: Base): Promise<[Buffer, Buffer][]> {
  const entries = await base.iterator({ gt: Buffer.of(0, 0xff) }).all();
  return entries.filter(([key]) => key[0] !== 0);
}
