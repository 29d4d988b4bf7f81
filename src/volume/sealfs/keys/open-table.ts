import { join } from "node:path";
import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Suite } from "../../../crypto/suite.ts";
import { OwnerLock } from "../../owner-lock.ts";
import { damaged, KeyTableError } from "./errors.ts";
import { KeyTable } from "./key-table.ts";
import { type KeyWrapper, namesKeyContext, sameWrapper, zoneKeyContext } from "./key-wrapper.ts";
import { readTable } from "./reading.ts";
import type { TableRecord } from "./records.ts";
import type { ZoneRule } from "./rules.ts";
import { Sm2Wrapper } from "./sm2-wrapper.ts";
import { TableFile, tableFileNames } from "./table-file.ts";
import { checkTableKey } from "./table-header.ts";
import { TableKeyWrapper } from "./table-key-wrapper.ts";
import { TableLog } from "./table-log.ts";
import { TableState } from "./table-state.ts";
import { nodeTableSystem, type TableSystem } from "./table-system.ts";
import { encodeTable, RecordChain } from "./writing.ts";
import { type ZoneProtection, zoneIdBytes } from "./zone.ts";

const namesKeyBytes = 32;

/** Which table, and the keys to it. */
export interface TablePlace {
  /** The folder that holds `keys`, its lock, and what an interrupted replacement leaves. */
  readonly folder: string;
  /** 16 bytes. */
  readonly volumeId: Buffer;
  readonly suite: Suite;
  /** 16 to 64 bytes; copied. */
  readonly tableKey: SecretBuffer;
  /** Who wraps the keys of `sealed` zones; the table becomes its owner. Left out: the table key itself, or the SM2 key that the table names, without its private side. */
  readonly wrapper?: KeyWrapper;
  /** @defaultValue the file system */
  readonly system?: TableSystem;
  /** @defaultValue `Date.now` */
  readonly nowMs?: () => number;
}

export interface CreateTableOptions {
  readonly rules?: readonly ZoneRule[];
  /**
   * Of the volume's own zone, which holds what lies in no other.
   * @defaultValue `table-sealed`
   */
  readonly ownZone?: ZoneProtection;
}

export interface OpenTableOptions {
  /** The last user closed the volume in good order: a broken end is then damage. @defaultValue `false` */
  readonly closedCleanly?: boolean;
  /** The sequence of a {@link KeyTable.head} that was kept elsewhere: an older table is refused. */
  readonly leastSequence?: number;
  /** Takes no lock and changes nothing; reads beside the process that writes. @defaultValue `false` */
  readonly readOnly?: boolean;
  /** Opens the table that a re-keying kept, under the keys of then, for reading only. @defaultValue `false` */
  readonly previous?: boolean;
}

/**
 * Makes the key table of a new volume.
 *
 * @throws {KeyTableError} `KEY_TABLE_EXISTS`, `RULE_INVALID`, `KEY_TABLE_SYSTEM`.
 * @throws {VolumeError} `VOLUME_ALREADY_OPEN` when another process has the table.
 */
export async function createKeyTable(place: TablePlace, options: CreateTableOptions = {}): Promise<KeyTable> {
  const { folder, volumeId, suite, system = nodeTableSystem, nowMs = Date.now } = place;
  checkPlace(place);
  const lock = await OwnerLock.acquire(join(folder, tableFileNames.lock), true);
  const tableKey = place.tableKey.clone();
  const wrapper = place.wrapper ?? new TableKeyWrapper(suite, tableKey, volumeId);
  try {
    if (TableFile.read(system, folder) !== undefined) throw new KeyTableError("KEY_TABLE_EXISTS");
    const first = firstRecords(place, tableKey, wrapper, options, nowMs());
    const state = new TableState();
    for (const record of first) state.apply(record);
    const { bytes, chain } = encodeTable({ suite, volumeId, firstSequence: 1 }, tableKey, first);
    const file = TableFile.create(system, folder, bytes);
    const records = new TableLog({ suite, volumeId, state, tableKey, chain, recordsInFile: first.length, file });
    return new KeyTable({
      ...{ suite, volumeId, system, folder, tableKey, wrapper, records, nowMs },
      tornBytes: 0,
      release: () => lock.release(),
    });
  } catch (error) {
    lock.release();
    tableKey[Symbol.dispose]();
    throw error;
  }
}

/**
 * Opens a volume's key table. Unwraps no zone's key, so its time does not grow with what a master key costs.
 *
 * @throws {KeyTableError} `KEY_TABLE_ABSENT`, `KEY_TABLE_WRONG_KEY` (table key or master key; no file was touched),
 *   `KEY_TABLE_DAMAGED`, `KEY_TABLE_ROLLED_BACK`, `KEY_TABLE_SYSTEM`.
 * @throws {VolumeError} `VOLUME_ALREADY_OPEN` when another process writes the table.
 */
export async function openKeyTable(place: TablePlace, options: OpenTableOptions = {}): Promise<KeyTable> {
  const { folder, system = nodeTableSystem, nowMs = Date.now } = place;
  checkPlace(place);
  const name = options.previous === true ? tableFileNames.previous : tableFileNames.table;
  if (!TableFile.exists(system, folder, name))
    throw new KeyTableError("KEY_TABLE_ABSENT", `there is no key table in ${folder}`);
  const readOnly = options.readOnly === true || options.previous === true;
  const lock = readOnly ? undefined : await OwnerLock.acquire(join(folder, tableFileNames.lock), true);
  const tableKey = place.tableKey.clone();
  try {
    const bytes = TableFile.read(system, folder, name);
    if (bytes === undefined) throw new KeyTableError("KEY_TABLE_ABSENT", `there is no key table in ${folder}`);
    const { read, state } = readAndCheck(bytes, place, options);
    const { suite, volumeId } = read.header;
    const chain = new RecordChain(suite, read.recordKey, read.link, read.nextSequence);
    try {
      const wrapper = wrapperFor(state, place, tableKey);
      const file = lock === undefined ? {} : { file: TableFile.open(system, folder, read.validBytes, read.tornBytes) };
      const records = new TableLog({
        suite,
        volumeId,
        state,
        tableKey,
        chain,
        recordsInFile: read.records.length,
        ...file,
      });
      const release = () => lock?.release();
      const { tornBytes } = read;
      const parts = { suite, volumeId, system, folder, tableKey, wrapper, records, nowMs, tornBytes, release };
      return new KeyTable(parts);
    } catch (error) {
      chain[Symbol.dispose]();
      throw error;
    }
  } catch (error) {
    lock?.release();
    tableKey[Symbol.dispose]();
    throw error;
  }
}

function checkPlace({ tableKey, volumeId }: TablePlace): void {
  checkTableKey(tableKey);
  if (volumeId.length !== zoneIdBytes) throw new RangeError(`a volume's id has 16 bytes, got ${volumeId.length}`);
}

function readAndCheck(
  bytes: Buffer,
  { suite, volumeId, tableKey }: TablePlace,
  { closedCleanly = false, leastSequence = 0 }: OpenTableOptions,
): { readonly read: ReturnType<typeof readTable>; readonly state: TableState } {
  const read = readTable(bytes, tableKey, { closedCleanly });
  try {
    if (!read.header.volumeId.equals(volumeId) || read.header.suite !== suite)
      throw damaged("it belongs to another volume");
    const state = new TableState();
    for (const record of read.records) state.apply(record);
    state.checkComplete();
    if (read.nextSequence - 1 < leastSequence)
      throw new KeyTableError(
        "KEY_TABLE_ROLLED_BACK",
        `the key table ends at record ${read.nextSequence - 1}, the anchor says at least ${leastSequence}; restore the newer one`,
      );
    return { read, state };
  } catch (error) {
    read.recordKey[Symbol.dispose]();
    throw error;
  }
}

/** A table whose sealed zones are still to come takes the first master key that it is opened with. */
function isAdopted(state: TableState, { wrapper }: TablePlace): boolean {
  if (wrapper === undefined || wrapper.identity.kind === "table-key" || state.wrapper.kind !== "table-key")
    return false;
  return !Array.from(state.zones()).some((zone) => zone.protection === "sealed" && !zone.destroyed);
}

function wrapperFor(state: TableState, place: TablePlace, tableKey: SecretBuffer): KeyWrapper {
  const { suite, volumeId, wrapper } = place;
  const named = state.wrapper;
  if (wrapper === undefined)
    return named.kind === "sm2" ? new Sm2Wrapper(named.publicKey) : new TableKeyWrapper(suite, tableKey, volumeId);
  if (sameWrapper(wrapper.identity, named)) return wrapper;
  // The table's own, until the caller has it adopt the other (KeyTable.adoptMasterKey).
  if (isAdopted(state, place)) return new TableKeyWrapper(suite, tableKey, volumeId);
  throw new KeyTableError(
    "KEY_TABLE_WRONG_KEY",
    "the keys of this table are wrapped by another master key than the one that is configured; nothing was touched",
  );
}

function firstRecords(
  { suite, volumeId }: TablePlace,
  tableKey: SecretBuffer,
  wrapper: KeyWrapper,
  { rules = [], ownZone = "table-sealed" }: CreateTableOptions,
  madeAtMs: number,
): readonly TableRecord[] {
  using tableWrapper = new TableKeyWrapper(suite, tableKey, volumeId);
  using namesKey = SecretBuffer.random(namesKeyBytes);
  using key = SecretBuffer.random(suite.keyBytes);
  const zoneId = kernelRandomBytes(zoneIdBytes);
  const context = zoneKeyContext(volumeId, zoneId, 1);
  const envelope = (ownZone === "sealed" ? wrapper : tableWrapper).wrap(key, context);
  const generations = ownZone === "plain" ? [] : [{ generation: 1, retired: false, madeAtMs, envelope }];
  const zone = { zoneId, protection: ownZone, path: [], madeAtMs, destroyed: false };
  return [
    { type: "wrapping", wrapper: wrapper.identity },
    { type: "namesKey", envelope: tableWrapper.wrap(namesKey, namesKeyContext(volumeId)) },
    { type: "rules", rules },
    { type: "zoneMade", ...zone, highestGeneration: generations.length, generations },
  ];
}
