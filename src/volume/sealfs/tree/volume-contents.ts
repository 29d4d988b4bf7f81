import { FsError } from "../fs-error.ts";
import { createSealedFile, openSealedFile } from "../store/create-and-open.ts";
import { PlainFile } from "../store/plain-file.ts";
import type { BackingFile, FileLayout, StoredFile } from "../stored-file.ts";
import type { ContentStore } from "./content-store.ts";
import type { ReportTreeEvent } from "./tree-events.ts";
import type { TreeZone } from "./tree-keys.ts";

export interface VolumeContentsOptions {
  readonly layout: FileLayout;
  /** True when the volume was unmounted in order: then no file can have lost anything. */
  readonly clean: boolean;
  readonly report: ReportTreeEvent;
}

/** Contents as a volume has them: sealed under the keys of their zone, or as they are in a plain zone. */
export class VolumeContents implements ContentStore {
  readonly #layout: FileLayout;
  readonly #clean: boolean;
  readonly #damage: (fileId: Buffer, what: string) => void;

  constructor({ layout, clean, report }: VolumeContentsOptions) {
    this.#layout = layout;
    this.#clean = clean;
    this.#damage = (fileId, detail) =>
      report({ kind: "content-damaged", fileId: fileId.toString("base64url"), detail });
  }

  create(backing: BackingFile, fileId: Buffer, { keys }: TreeZone): StoredFile {
    return keys === undefined
      ? new PlainFile(backing)
      : createSealedFile(backing, fileId, keys, this.#layout, this.#damage);
  }

  open(backing: BackingFile, fileId: Buffer, { zoneId, keys }: TreeZone, closedBefore: boolean): StoredFile {
    if (keys === undefined) return new PlainFile(backing);
    const keysOf = (asked: Buffer) => {
      if (asked.equals(zoneId)) return keys;
      this.#damage(fileId, "the head names another zone than the folder's");
      throw new FsError("EIO", "a file of another zone");
    };
    const clean = this.#clean || closedBefore;
    const whenBlank = clean ? {} : { keysWhenBlank: keys };
    try {
      return openSealedFile(backing, fileId, keysOf, this.#layout, { clean, events: this.#damage, ...whenBlank });
    } catch (error) {
      backing.close();
      throw error;
    }
  }
}
