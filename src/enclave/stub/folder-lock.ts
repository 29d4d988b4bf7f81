import { closeSync, constants, openSync } from "node:fs";
import { EnclaveError } from "../errors.ts";

/** fcntl command and lock type of Linux (fcntl.h): a lock that belongs to the open file, not to the process. */
const setLock = 37;
const writeLock = 1;

/**
 * Keeps a second stub out of an enclave's folder: two would store sealed blobs over one another. The kernel gives the lock up
 * when this process ends, however it ends.
 */
export class FolderLock implements Disposable {
  #fd: number | undefined;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws EnclaveError CONFLICT: another stub has it */
  static async take(file: string): Promise<FolderLock> {
    const { default: koffi } = await import("koffi");
    const fcntl = koffi.load("libc.so.6").func("int fcntl(int fd, int command, void *lock)");
    const fd = openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    // struct flock of 64-bit Linux, all of the file.
    const request = Buffer.alloc(32);
    request.writeInt16LE(writeLock, 0);
    if (fcntl(fd, setLock, request) === 0) return new FolderLock(fd);
    closeSync(fd);
    throw new EnclaveError("CONFLICT", `another process uses the enclave of this folder (${file})`, {
      hint: "end that process, or ask it",
    });
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
