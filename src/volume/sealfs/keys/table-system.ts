import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { syncFolder } from "../../../files/durable-file.ts";

/** The system calls that a key table's file is kept with. Each fails as Node's own calls do. */
export interface TableSystem {
  /** The file's bytes, at most one more than `mostBytes`; undefined when there is none. */
  read(path: string, mostBytes: number): Buffer | undefined;
  /** `existing`: as it is. `fresh`: made, or emptied. For reading and writing, never through a symbolic link. */
  open(path: string, how: "existing" | "fresh"): number;
  write(fd: number, bytes: Buffer, at: number): void;
  truncate(fd: number, size: number): void;
  /** The file's bytes and size are durable on return. */
  sync(fd: number): void;
  close(fd: number): void;
  rename(from: string, to: string): void;
  /** Does nothing when there is none. */
  remove(path: string): void;
  /** The folder's names are durable on return. */
  syncFolder(folder: string): void;
}

const { O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC } = constants;

export const nodeTableSystem: TableSystem = {
  read(path, mostBytes) {
    let fd: number;
    try {
      fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile()) throw Object.assign(new Error(`${path} is not a file`), { code: "EINVAL" });
      const bytes = Buffer.allocUnsafeSlow(Math.min(stat.size, mostBytes + 1));
      let filled = 0;
      while (filled < bytes.length) {
        const count = readSync(fd, bytes, filled, bytes.length - filled, filled);
        if (count === 0) break;
        filled += count;
      }
      return bytes.subarray(0, filled);
    } finally {
      closeSync(fd);
    }
  },
  open: (path, how) => openSync(path, O_RDWR | O_NOFOLLOW | (how === "fresh" ? O_CREAT | O_TRUNC : 0), 0o600),
  write(fd, bytes, at) {
    for (let written = 0; written < bytes.length; )
      written += writeSync(fd, bytes, written, bytes.length - written, at + written);
  },
  truncate: ftruncateSync,
  sync: fsyncSync,
  close: closeSync,
  rename(from, to) {
    renameSync(from, to);
  },
  remove(path) {
    rmSync(path, { force: true });
  },
  syncFolder,
};
