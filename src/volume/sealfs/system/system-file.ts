import { FsError } from "../fs-error.ts";
import type { BackingFile } from "../stored-file.ts";
import { systemCall } from "./calls.ts";
import { statusOf } from "./file-status.ts";
import { setTimes } from "./inode.ts";

const punchAndKeepSize = 3;

/** A {@link BackingFile} over a descriptor, which it owns. */
export class SystemFile implements BackingFile {
  readonly descriptor: number;
  /** Makes {@link sync} an fsync(2): what fdatasync(2) leaves out, such as times and owners, is made durable as well. */
  syncsEverything = false;
  /** Changes fail with EROFS. */
  readonly readOnly: boolean;
  #closed = false;

  /** @param access - How the descriptor is open; changes of a file open for reading fail with EROFS. */
  constructor(descriptor: number, access: "read" | "write" = "write") {
    this.descriptor = descriptor;
    this.readOnly = access === "read";
  }

  read(from: number, into: Buffer): number {
    let done = 0;
    while (done < into.length) {
      const rest = done === 0 ? into : into.subarray(done);
      const count = systemCall("pread", this.descriptor, rest, rest.length, from + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  write(to: number, bytes: Buffer): void {
    this.#requireWritable();
    let done = 0;
    while (done < bytes.length) {
      const rest = done === 0 ? bytes : bytes.subarray(done);
      const count = systemCall("pwrite", this.descriptor, rest, rest.length, to + done);
      if (count === 0) throw new FsError("EIO", "pwrite wrote nothing");
      done += count;
    }
  }

  size(): number {
    return statusOf(this.descriptor).size;
  }

  truncate(size: number): void {
    this.#requireWritable();
    systemCall("ftruncate", this.descriptor, size);
  }

  punch(from: number, length: number): void {
    this.#requireWritable();
    try {
      systemCall("fallocate", this.descriptor, punchAndKeepSize, from, length);
    } catch (error) {
      if (!(error instanceof FsError) || (error.code !== "EOPNOTSUPP" && error.code !== "ENOSYS")) throw error;
    }
  }

  sync(): void {
    systemCall(this.syncsEverything ? "fsync" : "fdatasync", this.descriptor);
  }

  keepingTimes(change: () => void): void {
    const { modifiedNs } = statusOf(this.descriptor);
    try {
      change();
    } finally {
      if (!this.readOnly) setTimes({ descriptor: this.descriptor }, undefined, modifiedNs);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    systemCall("close", this.descriptor);
  }

  #requireWritable(): void {
    if (this.readOnly) throw new FsError("EROFS", "a backing file that can only be read");
  }
}
