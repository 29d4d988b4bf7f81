import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import { FsError } from "../fs-error.ts";
import { createSealedFile, openSealedFile } from "../store/create-and-open.ts";
import type { ReportDamage } from "../store/damage.ts";
import { PlainFile } from "../store/plain-file.ts";
import type { BackingFile, FileLayout, StoredFile, ZoneKeys } from "../stored-file.ts";
import type { ContentStore } from "../tree/content-store.ts";
import type { TreeZone } from "../tree/tree-keys.ts";

/** Contents by zone: sealed where the zone has keys, as they are where it is plain. */
export class SealedContents implements ContentStore {
  readonly #layout: FileLayout;
  readonly #clean: boolean;
  readonly #blanksAreEmpty: boolean;
  readonly #report: ReportDamage;
  /** Of this mount: what it has closed itself was closed in good order. */
  readonly #session: number = kernelRandomBytes(6).readUIntBE(0, 6);

  /**
   * @param clean - The volume was closed in good order: what is half written was damaged.
   * @param blanksAreEmpty - A file of which nothing was committed before a crash opens empty.
   */
  constructor(layout: FileLayout, clean: boolean, report: ReportDamage, blanksAreEmpty: boolean = !clean) {
    this.#layout = layout;
    this.#clean = clean;
    this.#blanksAreEmpty = blanksAreEmpty;
    this.#report = report;
  }

  create(backing: BackingFile, fileId: Buffer, { keys }: TreeZone): StoredFile {
    if (keys === undefined) return new PlainFile(backing);
    return createSealedFile(backing, fileId, keys, this.#layout, this.#report, this.#session);
  }

  open(backing: BackingFile, fileId: Buffer, { zoneId, keys }: TreeZone): StoredFile {
    if (keys === undefined) return new PlainFile(backing);
    const keysOf = (named: Buffer): ZoneKeys => {
      if (named.equals(zoneId)) return keys;
      this.#report(fileId, "the head names another zone than the folder is in");
      throw new FsError("EIO", "a file of another zone");
    };
    const events = this.#report;
    const whenBlank = this.#blanksAreEmpty ? { keysWhenBlank: keys } : {};
    try {
      const session = this.#session;
      const clean = (other: number) => this.#clean || other === session;
      return openSealedFile(backing, fileId, keysOf, this.#layout, { clean, events, session, ...whenBlank });
    } catch (error) {
      backing.close();
      throw error;
    }
  }
}
