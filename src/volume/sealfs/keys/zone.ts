/**
 * How a zone's content lies on disk. `sealed`: under data keys that the table's {@link KeyWrapper} wraps, so it can be read
 * only where the master key is. `table-sealed`: under data keys wrapped by the table key itself, so it can be read wherever
 * the volume can be mounted. `plain`: as it is.
 */
export type ZoneProtection = "sealed" | "table-sealed" | "plain";

/**
 * `active`: the newest generation, under which new data is sealed. `superseded`: a newer one exists, data may still lie under
 * it. `retired`: marked as on its way out; may be destroyed when no data is sealed under it.
 */
export type GenerationState = "active" | "superseded" | "retired";

/** One data key of a zone. */
export interface Generation {
  /** From 1, never used twice in a zone. */
  readonly generation: number;
  readonly retired: boolean;
  /** When it was made, in milliseconds since 1970. */
  readonly madeAtMs: number;
  /** The wrapped data key. */
  readonly envelope: Buffer;
  /** The same under the table's quick key, where there is one: opened without the master key's private side. */
  readonly quick?: Buffer;
}

/** A folder with keys of its own, or plain. */
export interface Zone {
  /** 16 bytes, random. */
  readonly zoneId: Buffer;
  readonly protection: ZoneProtection;
  /** The folder's path in the volume; empty for the volume's own zone. Byte strings, as `FileSystem` has names. */
  readonly path: readonly string[];
  readonly madeAtMs: number;
  /** Its keys are gone for good; its folder may still be there. */
  readonly destroyed: boolean;
  /** The highest generation that was ever made; 0 for a plain zone. */
  readonly highestGeneration: number;
  /** Those not destroyed, oldest first, the last one active; empty for a plain or destroyed zone. */
  readonly generations: readonly Generation[];
}

export const zoneIdBytes = 16;
export const maxPathSegments = 64;
export const maxSegmentBytes = 255;
export const maxGenerationsPerZone = 32;
export const maxZones = 200_000;

/** A path as the key of a map. A name holds neither "/" nor NUL. */
export function pathText(path: readonly string[]): string {
  return path.join("/");
}

/** True for a name that a folder can have: 1 to 255 bytes, no "/", no NUL, not "." or "..". */
export function isFolderName(name: string): boolean {
  if (name.length === 0 || name.length > maxSegmentBytes || name === "." || name === "..") return false;
  for (let i = 0; i < name.length; i++) {
    const byte = name.charCodeAt(i);
    if (byte === 0 || byte === 0x2f || byte > 0xff) return false;
  }
  return true;
}
