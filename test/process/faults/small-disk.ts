import { spawnSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { TemporaryFolder } from "../running-server.ts";

/** A small file system (tmpfs) of its own, and a way to fill it. */
export class SmallDisk implements Disposable {
  readonly #folder: TemporaryFolder;

  private constructor(folder: TemporaryFolder) {
    this.#folder = folder;
  }

  /** Why none can be had here, or false. */
  static unavailable(): string | false {
    try {
      using _disk = SmallDisk.mount(1);
      return false;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** @throws {Error} When this machine or user can't mount one. */
  static mount(mebibytes: number): SmallDisk {
    const folder = new TemporaryFolder();
    const options = `size=${mebibytes}m,mode=0700`;
    const { status, stderr, error } = spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder.path], {
      encoding: "utf8",
    });
    if (status === 0) return new SmallDisk(folder);
    folder[Symbol.dispose]();
    throw new Error(`no small file system can be mounted here: ${error?.message ?? stderr.trim()}`);
  }

  get path(): string {
    return this.#folder.path;
  }

  /** Leaves no free byte. */
  fill(): void {
    const file = openSync(this.#ballast, "a");
    try {
      for (const bytes of [64 * 1024, 4096, 1]) writeUntilFull(file, Buffer.alloc(bytes));
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(this.#ballast, { force: true });
  }

  get #ballast(): string {
    return join(this.path, "ballast");
  }

  [Symbol.dispose](): void {
    spawnSync("umount", ["-l", this.path]);
    this.#folder[Symbol.dispose]();
  }
}

function writeUntilFull(file: number, block: Uint8Array): void {
  try {
    for (;;) writeSync(file, block);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
}
