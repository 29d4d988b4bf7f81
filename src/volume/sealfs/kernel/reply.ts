import type { Attributes, DirectoryEntry, Entry, FileSystemSpace } from "../file-system.ts";
import { outHeaderBytes } from "./protocol.ts";

/** How long the kernel may keep what it was told, in seconds. */
export interface CacheTimes {
  readonly entrySeconds: number;
  readonly attributeSeconds: number;
}

const attrBytes = 88;
export const entryOutBytes: number = 40 + attrBytes;
export const attrOutBytes: number = 16 + attrBytes;
/** fuse_dirent before its name. */
const direntHeadBytes = 24;
const nsPerSecond = 1_000_000_000n;
/** What stat(2) calls the block size for efficient use: one page. */
const preferredBytes = 4096;

/** Memory for one answer: room for fuse_out_header, then the body, which is written front to back. */
export class Reply {
  readonly #memory: Buffer;
  readonly #times: CacheTimes;
  #at = outHeaderBytes;
  /** A positive errno in place of the body: a refusal too common to be thrown. */
  refusal = 0;

  /** @param mostBodyBytes - Of the largest answer. */
  constructor(mostBodyBytes: number, times: CacheTimes) {
    this.#memory = Buffer.alloc(outHeaderBytes + mostBodyBytes);
    this.#times = times;
  }

  /** The memory that {@link finish} tells the length of. */
  get memory(): Buffer {
    return this.#memory;
  }

  /** Bytes that the body can still take. */
  get room(): number {
    return this.#memory.length - this.#at;
  }

  /** Begins anew: nothing in the body. */
  start(): void {
    this.#at = outHeaderBytes;
    this.refusal = 0;
  }

  /** Writes fuse_out_header. @param error - A positive errno, or 0. @returns Bytes of the whole answer. */
  finish(unique: bigint, error: number): number {
    if (error !== 0) this.#at = outHeaderBytes;
    this.#memory.writeUInt32LE(this.#at, 0);
    this.#memory.writeInt32LE(-error, 4);
    this.#memory.writeBigUInt64LE(unique, 8);
    return this.#at;
  }

  u16(value: number): void {
    this.#at = this.#memory.writeUInt16LE(value, this.#at);
  }

  u32(value: number): void {
    this.#at = this.#memory.writeUInt32LE(value, this.#at);
  }

  u64(value: number): void {
    this.#at = this.#memory.writeUInt32LE(value % 2 ** 32, this.#at);
    this.#at = this.#memory.writeUInt32LE(Math.floor(value / 2 ** 32), this.#at);
  }

  bigU64(value: bigint): void {
    this.#at = this.#memory.writeBigUInt64LE(BigInt.asUintN(64, value), this.#at);
  }

  bytes(value: Buffer): void {
    this.#at += value.copy(this.#memory, this.#at);
  }

  zeros(byteLength: number): void {
    this.#memory.fill(0, this.#at, this.#at + byteLength);
    this.#at += byteLength;
  }

  /** Room for content that is written straight into the answer; {@link keep} says how much of it there was. */
  space(byteLength: number): Buffer {
    return this.#memory.subarray(this.#at, this.#at + byteLength);
  }

  keep(byteLength: number): void {
    this.#at += byteLength;
  }

  /** A time's whole seconds, in two's complement. */
  #seconds(seconds: number): void {
    this.u32(seconds >>> 0);
    this.u32(Math.floor(seconds / 2 ** 32) >>> 0);
  }

  /** fuse_attr. */
  #attr(attributes: Attributes): void {
    this.bigU64(attributes.inode);
    this.u64(attributes.size);
    this.u64(attributes.blocks);
    const { accessedNs, modifiedNs, changedNs } = attributes;
    const [accessed, modified, changed] = [nsPart(accessedNs), nsPart(modifiedNs), nsPart(changedNs)];
    this.#seconds(secondsOf(accessedNs, accessed));
    this.#seconds(secondsOf(modifiedNs, modified));
    this.#seconds(secondsOf(changedNs, changed));
    this.u32(accessed);
    this.u32(modified);
    this.u32(changed);
    this.u32(attributes.mode);
    this.u32(attributes.links);
    this.u32(attributes.uid);
    this.u32(attributes.gid);
    this.u32(attributes.device);
    this.u32(preferredBytes);
    this.u32(0);
  }

  /** fuse_attr_out. */
  attributes(attributes: Attributes): void {
    this.u64(this.#times.attributeSeconds);
    this.u64(0);
    this.#attr(attributes);
  }

  /** fuse_entry_out. Node numbers are never given to another file, so the generation is always 0. */
  entry({ node, attributes }: Entry): void {
    this.u64(node);
    this.u64(0);
    this.u64(this.#times.entrySeconds);
    this.u64(this.#times.attributeSeconds);
    this.u64(0);
    this.#attr(attributes);
  }

  /** fuse_entry_out with node 0: the name is not there, which may be kept as well. */
  noEntry(): void {
    this.u64(0);
    this.u64(0);
    this.u64(this.#times.entrySeconds);
    this.zeros(entryOutBytes - 24);
  }

  /** fuse_open_out. */
  opened(handle: number, flags: number): void {
    this.u64(handle);
    this.u32(flags);
    this.u32(0);
  }

  /** fuse_dirent, padded to 8 bytes. */
  directoryEntry(entry: DirectoryEntry): void {
    this.bigU64(entry.inode);
    this.u64(entry.next);
    this.u32(entry.name.length);
    this.u32((entry.type & 0o170000) >> 12);
    this.#at += this.#memory.write(entry.name, this.#at, "latin1");
    this.zeros(-entry.name.length & 7);
  }

  /** fuse_statfs_out. */
  fileSystemSpace(space: FileSystemSpace): void {
    for (const value of [space.blocks, space.freeBlocks, space.availableBlocks, space.files, space.freeFiles])
      this.u64(value);
    this.u32(space.blockBytes);
    this.u32(space.longestName);
    this.u32(space.blockBytes);
    this.zeros(28);
  }

  wipe(): void {
    this.#memory.fill(0);
  }
}

/** Nanoseconds past the full second at or before; never negative. */
function nsPart(ns: bigint): number {
  const part = Number(ns % nsPerSecond);
  return part < 0 ? part + Number(nsPerSecond) : part;
}

/** Whole seconds at or before. @param part - Of {@link nsPart}. */
function secondsOf(ns: bigint, part: number): number {
  const towardsZero = Number(ns / nsPerSecond);
  return ns < 0n && part !== 0 ? towardsZero - 1 : towardsZero;
}

/** Bytes of a fuse_dirent with a name of this length. */
export function direntBytes(nameBytes: number): number {
  return (direntHeadBytes + nameBytes + 7) & ~7;
}
