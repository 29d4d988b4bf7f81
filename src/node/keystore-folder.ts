import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { type MemoryFolder, makeMemoryFolder } from "../volume/memory-folder.ts";
import { NodeError } from "./errors.ts";
import { overwrite } from "./file-steps.ts";

/**
 * A keystore folder in memory (0700) with real files (0600): geth watches its keystore and passes over links. Its files
 * stay for as long as the program runs, which reads them again at each unlock; they are locked by their own password.
 */
export class KeystoreFolder {
  readonly #folder: MemoryFolder;
  readonly #files: { readonly fd: number; readonly byteLength: number }[] = [];

  /** @throws {VolumeError} `VOLUME_NO_MEMORY_FOLDER`. */
  constructor() {
    this.#folder = makeMemoryFolder();
  }

  get path(): string {
    return this.#folder.path;
  }

  /** Adds a file. @throws {NodeError} `TARGET_EXISTS` when there is one of that name. */
  add(name: string, content: SecretBuffer): string {
    const path = join(this.path, name);
    let fd: number;
    try {
      fd = openSync(path, "wx", 0o600);
    } catch (cause) {
      throw new NodeError("TARGET_EXISTS", `two keystore files are named ${JSON.stringify(name)}`, { cause });
    }
    this.#files.push({ fd, byteLength: content.byteLength });
    content.expose((bytes) => {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    });
    return path;
  }

  /** Overwrites every file and removes the folder. */
  wipe(): void {
    for (const { fd, byteLength } of this.#files.splice(0)) {
      overwrite(fd, byteLength);
      closeSync(fd);
    }
    this.#folder.remove();
  }
}
