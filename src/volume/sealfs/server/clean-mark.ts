import { timingSafeEqual } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { syncFolder, writeDurably } from "../../durable-file.ts";

/**
 * Says that a volume was closed in good order: nothing in it may be half written, and what is, was damaged. Without the mark a file whose
 * newest head is damaged is read by the one before, as after a crash. Taking the mark away gains an attacker no more than a crash would.
 */
export class CleanMark {
  readonly #path: string;
  readonly #mac: (message: Buffer) => Buffer;

  /** @param mac - Under a key of the volume, 32 bytes. */
  constructor(path: string, mac: (message: Buffer) => Buffer) {
    this.#path = path;
    this.#mac = mac;
  }

  /**
   * Takes the mark away, durably. A wrong one stays where it is.
   *
   * @param state - What it must have been set for.
   * @returns `wrong`: the mark, or what it was set for, was changed since.
   */
  take(state: Buffer): "right" | "wrong" | "absent" {
    const expected = this.#of(state);
    const found = this.#read(expected.length + 1);
    if (found === undefined) return "absent";
    if (found.length !== expected.length || !timingSafeEqual(found, expected)) return "wrong";
    rmSync(this.#path);
    syncFolder(dirname(this.#path));
    return "right";
  }

  /** Sets the mark. @param state - Differs after each change of the key table. */
  set(state: Buffer): void {
    writeDurably(this.#path, this.#of(state));
  }

  /** @returns Undefined when there is none; what is no regular file is nothing that was set here. */
  #read(mostBytes: number): Buffer | undefined {
    let fd: number;
    try {
      fd = openSync(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ENOENT" ? undefined : Buffer.alloc(0);
    }
    try {
      const found = Buffer.alloc(mostBytes);
      return fstatSync(fd).isFile() ? found.subarray(0, readSync(fd, found)) : Buffer.alloc(0);
    } finally {
      closeSync(fd);
    }
  }

  #of(state: Buffer): Buffer {
    return this.#mac(Buffer.concat([Buffer.from("sealfs clean mark\0"), state]));
  }
}
