import type { FileSystemSpace } from "../file-system.ts";
import { systemCall } from "./calls.ts";

const answer = Buffer.alloc(256);
const longestNameBytes = 255;

/** fstatvfs(3) of the file system that a descriptor lies on. @throws {FsError} */
export function spaceOf(descriptor: number): FileSystemSpace {
  systemCall("fstatvfs", descriptor, answer);
  // struct statvfs of 64-bit glibc: eleven words of 8 bytes.
  const word = (index: number): number => Number(answer.readBigUInt64LE(8 * index));
  return {
    blockBytes: word(1),
    blocks: word(2),
    freeBlocks: word(3),
    availableBlocks: word(4),
    files: word(5),
    freeFiles: word(6),
    longestName: longestNameBytes,
  };
}

/** syncfs(2). @throws {FsError} */
export function syncFileSystem(descriptor: number): void {
  systemCall("syncfs", descriptor);
}
