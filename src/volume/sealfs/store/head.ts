import { type Epoch, mostEpochs } from "./epochs.ts";
import { type Geometry, mostFileBytes, mostSlots } from "./geometry.ts";

/** What a file's head says. Births and sequences have 48 bits. */
export interface Head {
  /** Rises with each head that is written. */
  readonly sequence: number;
  /** Written to be followed by a sync: after it has come back, no other head is needed any more. */
  readonly durable: boolean;
  /** Of the last durable head before this one, 0 without one. It lies in the other place. */
  readonly baseSequence: number;
  /** Of the volume, as are the next two: see {@link HeadStamp}. */
  readonly session: number;
  readonly round: number;
  readonly tableSequence: number;
  /** When a head of the file became durable last, or the file was made: milliseconds since 1970. */
  readonly durableAtMs: number;
  /** In bytes of plaintext. */
  readonly size: number;
  /** Levels of pages below the root: 0 when the root's entries are those of blocks. */
  readonly height: number;
  readonly highWater: number;
  /** How many blocks, and how many pages, the map has. */
  readonly blocks: number;
  readonly pages: number;
  /** The time of this head; all it refers to was born no later. */
  readonly birth: number;
  /** What was born later may be missing after a power loss, and is verified before this head is believed. */
  readonly baseBirth: number;
  /** How many slots were born later than `baseBirth`. */
  readonly fresh: number;
  /** The index of the epoch that this head is sealed under, one of `epochs`. */
  readonly epoch: number;
  readonly epochs: readonly Epoch[];
  /** The map's root, up to its last entry that is used. */
  readonly root: Buffer;
}

/** Of the zone's key that a head is sealed under. */
export function generationOf({ epoch, epochs }: Head): number | undefined {
  return epochs.find(({ index }) => index === epoch)?.generation;
}

/** More levels than the largest file needs. */
export const mostLevels = 8;
const most48 = 2 ** 48 - 1;
const fixedBytes = 106;
const epochBytes = 31;

/**
 * A head's sealed part (integers big-endian):
 *
 *     file id 16 ‖ sequence 6 ‖ base sequence 6 ‖ session 6 ‖ round 6 ‖ key table's sequence 6 ‖ durable at 6 ‖ size 8 ‖
 *     flags 1 (1: durable) ‖ height 1 ‖ high water 6 ‖ blocks 6 ‖ pages 6 ‖ birth 6 ‖ base birth 6 ‖ fresh 6 ‖ zero 2 ‖ epoch 1 ‖ number of epochs 1 ‖ root entries 4 ‖
 *     epochs (index 1, generation 4, id 16, slots 6, seals 4) ‖ root
 *
 * @param into - At least 4,000 bytes.
 * @returns The part of `into` that was written.
 */
export function encodeHead(fileId: Buffer, head: Head, geometry: Geometry, into: Buffer): Buffer {
  fileId.copy(into, 0);
  let at = 16;
  const put = (value: number, length: number) => {
    at = into.writeUIntBE(value, at, length);
  };
  put(head.sequence, 6);
  put(head.baseSequence, 6);
  put(head.session, 6);
  put(head.round, 6);
  put(head.tableSequence, 6);
  put(head.durableAtMs, 6);
  put(Math.floor(head.size / 2 ** 32), 4);
  put(head.size % 2 ** 32, 4);
  put(head.durable ? 1 : 0, 1);
  put(head.height, 1);
  for (const value of [head.highWater, head.blocks, head.pages, head.birth, head.baseBirth, head.fresh]) put(value, 6);
  put(0, 2);
  put(head.epoch, 1);
  put(head.epochs.length, 1);
  put(head.root.length / geometry.entryBytes, 4);
  for (const epoch of head.epochs) {
    put(epoch.index, 1);
    put(epoch.generation, 4);
    at += epoch.id.copy(into, at);
    put(epoch.slots, 6);
    put(Math.min(epoch.seals, 0xffff_ffff), 4);
  }
  at += head.root.copy(into, at);
  return into.subarray(0, at);
}

/** Makes an encoded head that of another sequence. */
export function putSequence(encoded: Buffer, sequence: number): void {
  encoded.writeUIntBE(sequence, 16, 6);
}

/** Reads what {@link encodeHead} wrote. @returns Undefined for anything else; `root` is a copy. */
export function decodeHead(fileId: Buffer, bytes: Buffer, geometry: Geometry): Head | undefined {
  if (bytes.length < fixedBytes || !bytes.subarray(0, 16).equals(fileId)) return undefined;
  let at = 16;
  const take = (length: number) => {
    const value = bytes.readUIntBE(at, length);
    at += length;
    return value;
  };
  const sequence = take(6);
  const baseSequence = take(6);
  const [session, round, tableSequence] = [take(6), take(6), take(6)];
  const durableAtMs = take(6);
  const wideSize = bytes.readBigUInt64BE(at);
  at += 8;
  const flags = take(1);
  const height = take(1);
  const [highWater, blocks, pages] = [take(6), take(6), take(6)];
  const [birth, baseBirth, fresh] = [take(6), take(6), take(6)];
  const zero = take(2);
  const epoch = take(1);
  const epochCount = take(1);
  const rootEntries = take(4);
  if (epochCount > mostEpochs || rootEntries > geometry.rootEntries || height > mostLevels) return undefined;
  if (bytes.length !== fixedBytes + epochCount * epochBytes + rootEntries * geometry.entryBytes) return undefined;
  const epochs: Epoch[] = [];
  for (let read = 0; read < epochCount; read += 1) {
    const index = take(1);
    const generation = take(4);
    const id = Buffer.from(bytes.subarray(at, at + 16));
    at += 16;
    if (epochs.some((other) => other.index === index)) return undefined;
    epochs.push({ index, generation, id, slots: take(6), seals: take(4) });
  }
  if (flags > 1 || zero !== 0 || wideSize > BigInt(mostFileBytes)) return undefined;
  if (sequence === 0 || baseSequence >= sequence || baseBirth > birth || birth > most48 - 2 ** 32) return undefined;
  if (highWater > mostSlots || blocks + pages > highWater || fresh > blocks + pages) return undefined;
  if (!epochs.some((known) => known.index === epoch)) return undefined;
  const root = Buffer.from(bytes.subarray(at));
  const size = Number(wideSize);
  const durable = flags === 1;
  return {
    sequence,
    baseSequence,
    session,
    round,
    tableSequence,
    durableAtMs,
    size,
    durable,
    height,
    highWater,
    blocks,
    pages,
    birth,
    baseBirth,
    fresh,
    epoch,
    epochs,
    root,
  };
}
