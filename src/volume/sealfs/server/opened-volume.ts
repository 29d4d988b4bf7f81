import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { suites } from "../../../crypto/suite.ts";
import { chooseBlockCiphers } from "../cipher/block-ciphers.ts";
import { KeyTableError } from "../keys/errors.ts";
import type { KeyTable } from "../keys/key-table.ts";
import type { KeyWrapper } from "../keys/key-wrapper.ts";
import { openKeyTable } from "../keys/open-table.ts";
import { VolumeKeys } from "../keys/volume-keys.ts";
import type { ReportDamage } from "../store/damage.ts";
import { syncFileSystem } from "../system/space.ts";
import { SealedTree } from "../tree/sealed-tree.ts";
import type { StoreHandover } from "./handover.ts";
import { SealedContents } from "./sealed-contents.ts";
import { storeNames } from "./store-names.ts";
import { SyncMarks } from "./sync-marks.ts";
import { readBootId, VolumeSession } from "./volume-session.ts";

/** Something that is wrong in the store, in words that name no content. */
export type ReportFinding = (what: string) => void;

/** What was committed is on the medium after so long, at the latest. */
const syncEveryMs = 5000;

/** What an opened volume is made of; all of it becomes its own. */
interface VolumeParts {
  readonly tree: SealedTree;
  readonly keys: VolumeKeys;
  readonly session: VolumeSession;
  readonly marks: SyncMarks;
  /** Of the store's folder, open since before anything was written: so that a failure to write it is told to its syncfs(2). */
  readonly storeDescriptor: number;
  readonly purpose: "serve" | "check";
}

/** Keys and tree of a volume, not mounted. */
export class OpenedVolume {
  readonly tree: SealedTree;
  readonly keys: VolumeKeys;
  /** All sessions before this one ended in good order, or what they left is settled. */
  readonly wasClean: boolean;
  readonly #parts: VolumeParts;
  #unsyncedSinceMs: number | undefined;

  private constructor(parts: VolumeParts, wasClean: boolean) {
    this.#parts = parts;
    this.tree = parts.tree;
    this.keys = parts.keys;
    this.wasClean = wasClean;
  }

  /**
   * Opens a store. To serve it, a session is begun, which ends with {@link close}; an opening that fails has begun none.
   *
   * @param tableKey - Stays the caller's.
   * @param purpose - `check`: nothing is changed, and a file of which a crash left nothing is told of, and not taken for an empty one.
   * @param wrapper - Who opens the envelopes of sealed zones; the volume becomes its owner. A table that has no sealed zone yet takes it over.
   * @throws {KeyTableError} When the key table or its key is not right; then nothing was changed.
   * @throws {FsError} When the tree cannot be opened.
   */
  static async open(
    { store, volumeId, suite: suiteName, layout, names, anchored }: StoreHandover,
    tableKey: SecretBuffer,
    report: ReportFinding,
    purpose: "serve" | "check",
    wrapper?: KeyWrapper,
  ): Promise<OpenedVolume> {
    const suite = suites[suiteName];
    const table = await openKeyTable(
      {
        folder: store,
        volumeId: volumeIdBytes(volumeId),
        suite,
        tableKey,
        ...(wrapper === undefined ? {} : { wrapper }),
      },
      { readOnly: purpose === "check" },
    );
    if (anchored !== undefined) refuseOther(table, anchored);
    if (purpose === "serve" && wrapper !== undefined && table.wrapper !== wrapper) adopt(table, wrapper);
    const ciphers = await chooseBlockCiphers(suite);
    const onEvent = ({ what, detail }: { what: string; detail: string }) => report(`${what}: ${detail}`);
    const keys = new VolumeKeys(table, { names, ciphers, onEvent });
    const marks = new SyncMarks(join(store, storeNames.syncMarks), (message) => keys.mac(message));
    let storeDescriptor: number | undefined;
    try {
      storeDescriptor = openSync(store, "r");
      const session = new VolumeSession(table, marks, readBootId());
      const wasClean = table.sessions.unsettled.length === 0;
      const damaged: ReportDamage = (fileId, what, outcome) =>
        report(
          `content-${outcome === "refused" ? "damaged" : "recovered"}: ${JSON.stringify({ fileId: fileId.toString("base64url"), what })}`,
        );
      const tree = SealedTree.open({
        backingFolder: join(store, storeNames.tree),
        keys,
        contents: new SealedContents(layout, session, damaged, purpose === "serve"),
        afterCrash: !wasClean,
        looksOnly: purpose === "check",
        report: ({ kind, ...facts }) => report(`${kind}: ${JSON.stringify(facts)}`),
      });
      const volume = new OpenedVolume({ tree, keys, session, marks, storeDescriptor, purpose }, wasClean);
      if (purpose === "serve") volume.#begin();
      return volume;
    } catch (error) {
      if (storeDescriptor !== undefined) closeSync(storeDescriptor);
      marks.close();
      keys[Symbol.dispose]();
      throw error;
    }
  }

  /** True when something was committed and may not be on the medium. */
  get hasUnsynced(): boolean {
    return this.#parts.session.hasUnsynced;
  }

  /**
   * Commits all files and makes it durable.
   *
   * @throws {FsError} When one cannot be committed: what the others have is durable all the same.
   */
  sync(): void {
    const { session, tree, storeDescriptor } = this.#parts;
    let failure: unknown;
    session.synced(() => {
      try {
        tree.commitAll();
      } catch (error) {
        failure = error;
      }
      syncFileSystem(storeDescriptor);
    });
    tree.markDurable();
    this.#unsyncedSinceMs = undefined;
    if (failure !== undefined) throw failure;
  }

  /**
   * {@link sync} for what was committed some seconds ago: so a power loss undoes no more than that, in closed files as well.
   *
   * @returns After how many milliseconds to call again.
   * @throws {FsError}
   */
  syncWhenDue(): number {
    if (!this.hasUnsynced && !this.tree.hasChanges) return syncEveryMs;
    const nowMs = performance.now();
    this.#unsyncedSinceMs ??= nowMs;
    const leftMs = syncEveryMs - (nowMs - this.#unsyncedSinceMs);
    if (leftMs > 0) return leftMs;
    this.#unsyncedSinceMs = undefined;
    this.sync();
    return syncEveryMs;
  }

  /** What the sessions before this one left behind is settled: all of it was recovered, and committed in this one. */
  settle(): void {
    this.sync();
    this.keys.table.settleSessions(this.#parts.session.name - 1);
  }

  #begin(): void {
    try {
      this.#parts.session.begin();
    } catch (error) {
      this.tree.close();
      throw error;
    }
  }

  /**
   * Commits and closes all files, makes that durable, and wipes the keys. The session has ended in good order if nothing fails, and
   * if no file could not be committed or synced in it.
   */
  close(): void {
    const { session, tree, keys, marks, storeDescriptor, purpose } = this.#parts;
    try {
      if (purpose === "check") tree.close();
      else {
        session.synced(() => {
          tree.close();
          syncFileSystem(storeDescriptor);
        });
        if (session.isWell) keys.table.endSession();
        settleTable(keys.table);
      }
    } finally {
      closeSync(storeDescriptor);
      marks.close();
      keys[Symbol.dispose]();
    }
  }
}

/** The 16 bytes of a UUID. */
export function volumeIdBytes(volumeId: string): Buffer {
  return Buffer.from(volumeId.replaceAll("-", ""), "hex");
}

/** Takes the keys of folders that were removed in the last second out of the table's file. */
function settleTable(table: KeyTable): void {
  try {
    table.settle();
  } catch {
    // The disk is full: the next session does it.
  }
}

/** What was compared with the anchor must be what is opened. */
function refuseOther(table: KeyTable, { sequence, link }: NonNullable<StoreHandover["anchored"]>): void {
  if (table.head.sequence === sequence && table.head.link.toString("hex") === link) return;
  table.close();
  throw new KeyTableError("KEY_TABLE_ROLLED_BACK", "the key table was exchanged after it was compared with its anchor");
}

/** The first master key that the volume is opened with becomes its own. */
function adopt(table: KeyTable, wrapper: KeyWrapper): void {
  try {
    table.adoptMasterKey(wrapper);
  } catch (error) {
    table.close();
    throw error;
  }
}
