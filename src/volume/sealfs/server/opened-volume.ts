import { existsSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { suites } from "../../../crypto/suite.ts";
import { VolumeError } from "../../errors.ts";
import { chooseBlockCiphers } from "../cipher/block-ciphers.ts";
import { openKeyTable } from "../keys/open-table.ts";
import { VolumeKeys } from "../keys/volume-keys.ts";
import { SealedTree } from "../tree/sealed-tree.ts";
import { CleanMark } from "./clean-mark.ts";
import type { Handover } from "./handover.ts";
import { SealedContents } from "./sealed-contents.ts";
import { storeNames } from "./store-names.ts";

/** Something that is wrong in the store, in words that name no content. */
export type ReportFinding = (what: string) => void;

/** Keys and tree of a volume, not mounted. */
export class OpenedVolume {
  readonly tree: SealedTree;
  /** The volume was closed in good order the last time. */
  readonly wasClean: boolean;
  readonly #keys: VolumeKeys;
  readonly #mark: CleanMark;

  private constructor(tree: SealedTree, keys: VolumeKeys, mark: CleanMark, wasClean: boolean) {
    this.tree = tree;
    this.wasClean = wasClean;
    this.#keys = keys;
    this.#mark = mark;
  }

  /**
   * Opens a store. From now on it counts as in use, until {@link close}.
   *
   * @param tableKey - Stays the caller's.
   * @param purpose - `check`: a file of which a crash left nothing is told of, and not taken for an empty one.
   * @throws {KeyTableError} When the key table or its key is not right; then nothing was changed.
   * @throws {VolumeError} VOLUME_STORE_DAMAGED when the mark of an orderly end is not this key table's.
   * @throws {FsError} When the tree cannot be opened.
   */
  static async open(
    { store, volumeId, suite: suiteName, layout, names }: Omit<Handover, "allowOther" | "hasOwner">,
    tableKey: SecretBuffer,
    report: ReportFinding,
    purpose: "serve" | "check",
  ): Promise<OpenedVolume> {
    const suite = suites[suiteName];
    const markFile = join(store, storeNames.cleanMark);
    // A mark, even a wrong one, is only there when nothing was being written: a broken end of the table is damage then.
    const table = await openKeyTable(
      { folder: store, volumeId: volumeIdBytes(volumeId), suite, tableKey },
      { closedCleanly: existsSync(markFile) },
    );
    const ciphers = await chooseBlockCiphers(suite);
    const onEvent = ({ what, detail }: { what: string; detail: string }) => report(`${what}: ${detail}`);
    const keys = new VolumeKeys(table, { names, ciphers, onEvent });
    try {
      const mark = new CleanMark(markFile, (message) => keys.mac(message));
      const found = mark.take(table.head.link);
      if (found === "wrong")
        throw new VolumeError(
          "VOLUME_STORE_DAMAGED",
          `${markFile} does not belong to the key table beside it: one of them was changed or put back; restore both from one backup`,
        );
      const wasClean = found === "right";
      const damaged = (fileId: Buffer, what: string) =>
        report(`content-damaged: ${JSON.stringify({ fileId: fileId.toString("base64url"), what })}`);
      const contents = new SealedContents(layout, wasClean, damaged, !wasClean && purpose === "serve");
      const tree = SealedTree.open({
        backingFolder: join(store, storeNames.tree),
        keys,
        contents,
        report: ({ kind, ...facts }) => report(`${kind}: ${JSON.stringify(facts)}`),
      });
      return new OpenedVolume(tree, keys, mark, wasClean);
    } catch (error) {
      keys[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Commits and closes all files, and wipes the keys. The volume counts as closed in good order if nothing fails, and if it was so
   * before: what a crash has left in files that were not opened since is not settled by an orderly end.
   */
  close(): void {
    try {
      this.tree.syncAll();
      this.tree.close();
      if (this.wasClean) this.#mark.set(this.#keys.table.head.link);
    } finally {
      this.#keys[Symbol.dispose]();
    }
  }
}

/** The 16 bytes of a UUID. */
export function volumeIdBytes(volumeId: string): Buffer {
  return Buffer.from(volumeId.replaceAll("-", ""), "hex");
}
