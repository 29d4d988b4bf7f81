import type { BlockCipher } from "./block-cipher.ts";

/** One file of the backing folder, open for reading and writing. Fails with `FsError` and the errno of the system call. */
export interface BackingFile {
  /** Fills `into` from a place on; fewer bytes only at the end of the file. */
  read(at: number, into: Buffer): number;
  /** Writes all of `bytes`. */
  write(at: number, bytes: Buffer): void;
  size(): number;
  truncate(size: number): void;
  /** Gives the room of these bytes back; they read as zeros. Does nothing where the file system below cannot. */
  punch(at: number, length: number): void;
  /** fdatasync(2). */
  sync(): void;
  /** Runs a change that nobody has asked for, and puts the time of modification back. Left out where nobody looks at it. */
  keepingTimes?(change: () => void): void;
  close(): void;
}

/** The keys of a zone, as far as a file needs them. */
export interface ZoneKeys {
  /** 16 bytes, random. */
  readonly zoneId: Buffer;
  /** Of the zone's data key: what new blocks are sealed under. Rises with each rotation. @throws {FsError} ENOKEY when it was destroyed. */
  readonly generation: number;
  /**
   * The cipher of one file's epoch. The caller disposes of it.
   *
   * @param epoch - 16 bytes, random, new for each 2^31 seals at most.
   * @throws {FsError} ENOKEY when the generation is not there or destroyed.
   */
  fileCipher(generation: number, fileId: Buffer, epoch: Buffer): BlockCipher;
}

/** How the files of a volume are laid out; fixed when it is made. */
export interface FileLayout {
  /** A power of two from 4,096 to 65,536. */
  readonly blockBytes: number;
  /** `tree`: the version of each block is fixed by the head as well. */
  readonly integrity: "blocks" | "tree";
}

/** A file's content, whether sealed or plain. All places and lengths are bytes of the plaintext. Fails with `FsError`. */
export interface StoredFile {
  readonly size: number;
  /** Allocated in the backing file, in bytes; holes count nothing. */
  readonly allocatedBytes: number;
  /** Fills `into`; returns how many bytes there were before the end. */
  read(at: number, into: Buffer): number;
  /** Writes all, and makes the file larger if need be; what lies between the end and `at` is a hole. */
  write(at: number, bytes: Buffer): void;
  truncate(size: number): void;
  /** fallocate(2) without FALLOC_FL_PUNCH_HOLE: makes the file larger unless told to keep its size. */
  allocate(at: number, length: number, keepSize: boolean): void;
  /** Makes a hole, or zeros where a block is only partly in it. Keeps the size. */
  punch(at: number, length: number): void;
  /** The next place with data at or after `at`, or undefined. */
  seekData(at: number): number | undefined;
  /** The next hole at or after `at`; the end of the file counts as one. */
  seekHole(at: number): number;
  /** Makes what was written what a later opening finds. @param durable - Also after a power loss: fsync(2). */
  commit(durable: boolean): void;
  /** The whole store has been synced: what was committed is on the medium. Left out where that makes no difference. */
  markDurable?(): void;
  /** Bytes sealed under each generation of the zone's key. Empty for a plain file. */
  bytesByGeneration(): ReadonlyMap<number, number>;
  /** Seals up to so many bytes anew that lie under an older generation; returns how many are left. */
  reseal(mostBytes: number): number;
  /** Reads and verifies everything. @returns What is wrong, in words that name no content; empty when nothing is. */
  check(): readonly string[];
  /** Commits (not durably) and closes the backing file. */
  close(): void;
}
