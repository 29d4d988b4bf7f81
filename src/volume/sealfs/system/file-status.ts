import { at, cString, systemCall } from "./calls.ts";

/** What statx(2) says of a file. Times are nanoseconds since 1970. */
export interface FileStatus {
  readonly inode: bigint;
  /** Of the file system that holds it, as `major:minor` in one number. */
  readonly onDevice: number;
  readonly size: number;
  readonly blocks: number;
  readonly blockBytes: number;
  readonly accessedNs: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a device file, as the kernel's 32-bit encoding. */
  readonly device: number;
}

const basicStats = 0x7ff;
const answer = Buffer.alloc(256);
const noName = cString("");

/** Of a name in a folder; a symbolic link is not followed. @throws {FsError} */
export function statusAt(folder: number, name: string): FileStatus {
  systemCall("statx", folder, cString(name), at.symlinkNoFollow, basicStats, answer);
  return parse();
}

/** Of what a descriptor is open on, O_PATH included. @throws {FsError} */
export function statusOf(descriptor: number): FileStatus {
  systemCall("statx", descriptor, noName, at.emptyPath, basicStats, answer);
  return parse();
}

// struct statx of linux/stat.h: the same on every architecture.
function parse(): FileStatus {
  return {
    blockBytes: answer.readUInt32LE(4),
    links: answer.readUInt32LE(16),
    uid: answer.readUInt32LE(20),
    gid: answer.readUInt32LE(24),
    mode: answer.readUInt16LE(28),
    inode: answer.readBigUInt64LE(32),
    size: readNumber(40),
    blocks: readNumber(48),
    accessedNs: readTimeNs(64),
    changedNs: readTimeNs(96),
    modifiedNs: readTimeNs(112),
    device: kernelDevice(answer.readUInt32LE(128), answer.readUInt32LE(132)),
    onDevice: answer.readUInt32LE(136) * 2 ** 20 + answer.readUInt32LE(140),
  };
}

function readNumber(offset: number): number {
  return answer.readUInt32LE(offset) + answer.readUInt32LE(offset + 4) * 2 ** 32;
}

function readTimeNs(offset: number): bigint {
  return answer.readBigInt64LE(offset) * 1_000_000_000n + BigInt(answer.readUInt32LE(offset + 8));
}

/** new_encode_dev of linux/kdev_t.h. */
function kernelDevice(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
