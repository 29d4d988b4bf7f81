import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Suite } from "../../../crypto/suite.ts";
import { KeyTableError } from "./errors.ts";
import { type KeyWrapper, namesKeyContext, zoneKeyContext } from "./key-wrapper.ts";
import type { TableRecord } from "./records.ts";
import { TableRekey } from "./rekey.ts";
import type { ZoneRule, ZoneRules } from "./rules.ts";
import { TableKeyWrapper } from "./table-key-wrapper.ts";
import type { TableHead, TableLog } from "./table-log.ts";
import type { TableSystem } from "./table-system.ts";
import {
  type Generation,
  maxGenerationsPerZone,
  maxZones,
  type Zone,
  type ZoneProtection,
  zoneIdBytes,
} from "./zone.ts";

/** What an opened table is made of; all of it becomes the table's own. */
export interface KeyTableParts {
  readonly suite: Suite;
  readonly volumeId: Buffer;
  readonly system: TableSystem;
  readonly folder: string;
  readonly tableKey: SecretBuffer;
  readonly wrapper: KeyWrapper;
  readonly records: TableLog;
  /** Gives the lock up. */
  readonly release: () => void;
  readonly tornBytes: number;
  readonly nowMs: () => number;
}

/**
 * The keys of one sealed file system: its zones, their rules, and each zone's data keys, wrapped. What a call has changed is
 * durable when it returns; a call that throws has changed nothing. Data keys are unwrapped one by one, when asked for.
 */
export class KeyTable implements Disposable {
  readonly suite: Suite;
  /** 16 bytes. */
  readonly volumeId: Buffer;
  /** What an interrupted append had left at the end, and was dropped. */
  readonly tornBytes: number;
  readonly #parts: KeyTableParts;
  readonly #records: TableLog;
  #tableKey: SecretBuffer;
  #wrapper: KeyWrapper;
  #tableWrapper: TableKeyWrapper;
  #closed = false;

  /** For open-table.ts, which reads and checks first. */
  constructor(parts: KeyTableParts) {
    this.#parts = parts;
    this.suite = parts.suite;
    this.volumeId = parts.volumeId;
    this.tornBytes = parts.tornBytes;
    this.#records = parts.records;
    this.#tableKey = parts.tableKey;
    this.#wrapper = parts.wrapper;
    this.#tableWrapper = new TableKeyWrapper(parts.suite, parts.tableKey, parts.volumeId);
  }

  get head(): TableHead {
    return this.#records.head;
  }

  get rules(): ZoneRules {
    return this.#records.state.rules;
  }

  /** Who wraps the keys of `sealed` zones, and whether their keys can be unwrapped here. */
  get wrapper(): Pick<KeyWrapper, "identity" | "canUnwrap"> {
    return this.#wrapper;
  }

  zones(): Iterable<Zone> {
    return this.#records.state.zones();
  }

  zone(zoneId: Buffer): Zone | undefined {
    return this.#records.state.zone(zoneId);
  }

  /** The zone made for this very path. */
  zoneMadeFor(path: readonly string[]): Zone | undefined {
    return this.#records.state.zoneMadeFor(path);
  }

  /** The zone of a folder: that of the deepest folder at or above it. */
  zoneOf(path: readonly string[]): Zone {
    return this.#records.state.zoneOf(path);
  }

  /** True when a zone lies at this folder or below it. */
  hasZoneWithin(path: readonly string[]): boolean {
    return this.#records.state.hasZoneWithin(path);
  }

  /** The secret under which names, links and attributes lie, 32 bytes. The caller disposes of it. */
  namesKey(): SecretBuffer {
    return this.#tableWrapper.unwrap(this.#records.state.namesKey, namesKeyContext(this.volumeId));
  }

  /**
   * A data key of a zone. The caller disposes of it.
   *
   * @throws {KeyTableError} `GENERATION_ABSENT`, `PRIVATE_KEY_ABSENT`, `ENVELOPE_REFUSED`.
   */
  unwrap(zone: Zone, generation: number): SecretBuffer {
    const found = zone.generations.find((one) => one.generation === generation);
    if (found === undefined)
      throw new KeyTableError("GENERATION_ABSENT", `the zone ${hex(zone)} has no key generation ${generation}`);
    const key = this.#wrapperOf(zone).unwrap(found.envelope, zoneKeyContext(this.volumeId, zone.zoneId, generation));
    if (key.byteLength === this.suite.keyBytes) return key;
    key[Symbol.dispose]();
    throw new KeyTableError("ENVELOPE_REFUSED");
  }

  /** Other rules from now on; zones that were made stay what they are. @throws {KeyTableError} `RULE_INVALID`, and as any write. */
  setRules(rules: readonly ZoneRule[]): void {
    this.#append([{ type: "rules", rules }]);
  }

  /**
   * Makes a zone for a folder, with its first data key unless it is plain.
   *
   * @returns The zone and its key, which the caller disposes of.
   * @throws {KeyTableError} `ZONE_EXISTS`, `PRIVATE_KEY_ABSENT` (a zone is not made that could not be read again here),
   *   `KEY_TABLE_LIMIT`, and as any write: `KEY_TABLE_READ_ONLY`, `KEY_TABLE_SYSTEM`, `KEY_TABLE_BROKEN`.
   */
  makeZone(path: readonly string[], protection: ZoneProtection): { readonly zone: Zone; readonly key?: SecretBuffer } {
    const before = this.zoneMadeFor(path);
    if (before !== undefined && !before.destroyed) throw new KeyTableError("ZONE_EXISTS");
    if (this.#records.state.zoneCount >= maxZones)
      throw new KeyTableError("KEY_TABLE_LIMIT", `a volume has at most ${maxZones} zones; remove folders first`);
    const removal: TableRecord[] = before === undefined ? [] : [{ type: "zoneRemoved", zoneId: before.zoneId }];
    const fresh = { zoneId: kernelRandomBytes(zoneIdBytes), protection, path, destroyed: false };
    const madeAtMs = this.#parts.nowMs();
    if (protection === "plain") {
      const zone: Zone = { ...fresh, madeAtMs, highestGeneration: 0, generations: [] };
      this.#append([...removal, { type: "zoneMade", ...zone }]);
      return { zone };
    }
    const { key, envelope } = this.#freshKey(fresh, 1);
    try {
      const generations = [{ generation: 1, retired: false, madeAtMs, envelope }];
      const zone: Zone = { ...fresh, madeAtMs, highestGeneration: 1, generations };
      this.#append([...removal, { type: "zoneMade", ...zone }]);
      return { zone, key };
    } catch (error) {
      key[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Begins a new generation: what is sealed from now on is sealed under it.
   *
   * @returns The new generation, and its key, which the caller disposes of.
   * @throws {KeyTableError} `ZONE_ABSENT`, `ZONE_NOT_SEALED`, `PRIVATE_KEY_ABSENT`, `KEY_TABLE_LIMIT` with 32 generations
   *   that were not destroyed, and as any write.
   */
  addGeneration(zoneId: Buffer): { readonly generation: number; readonly key: SecretBuffer } {
    const zone = this.#sealedZone(zoneId);
    if (zone.generations.length >= maxGenerationsPerZone)
      throw new KeyTableError(
        "KEY_TABLE_LIMIT",
        `the zone ${hex(zone)} has ${maxGenerationsPerZone} generations; destroy old ones first`,
      );
    const generation = zone.highestGeneration + 1;
    const { key, envelope } = this.#freshKey(zone, generation);
    try {
      this.#append([{ type: "generationAdded", zoneId, generation, madeAtMs: this.#parts.nowMs(), envelope }]);
      return { generation, key };
    } catch (error) {
      key[Symbol.dispose]();
      throw error;
    }
  }

  /** Marks an older generation as on its way out. @throws {KeyTableError} `GENERATION_IN_USE` for the newest, `GENERATION_ABSENT`, … */
  retireGeneration(zoneId: Buffer, generation: number): void {
    const { retired } = this.#olderGeneration(zoneId, generation);
    if (!retired) this.#append([{ type: "generationRetired", zoneId, generation }]);
  }

  /**
   * Destroys a retired generation's key: its envelope is in the table's file no more. Who kept an older copy of the file still
   * has it, until the table key is replaced ({@link beginRekey}) and the old one destroyed.
   *
   * @param sealedBytes - How much a full check of the zone has found sealed under it.
   * @throws {KeyTableError} `GENERATION_IN_USE` unless it is retired and `sealedBytes` is 0.
   */
  destroyGeneration(zoneId: Buffer, generation: number, sealedBytes: number): void {
    const { retired } = this.#olderGeneration(zoneId, generation);
    if (!retired || sealedBytes !== 0)
      throw new KeyTableError(
        "GENERATION_IN_USE",
        retired
          ? `${sealedBytes} bytes are sealed under generation ${generation}; wait until they are sealed anew`
          : `generation ${generation} is not retired; retire it, have its data sealed anew, and check the volume`,
      );
    this.#append([{ type: "generationDestroyed", zoneId, generation }]);
    this.compact();
  }

  /**
   * Destroys all keys of a zone: what lies in it cannot be read again. As with generations, only {@link beginRekey} and the end
   * of the old table key take them from who kept a copy of the file.
   *
   * @throws {KeyTableError} `ZONE_ABSENT`, `ZONE_NOT_SEALED`, and as any write.
   */
  destroyZone(zoneId: Buffer): void {
    this.#sealedZone(zoneId);
    this.#append([{ type: "zoneDestroyed", zoneId }]);
    this.compact();
  }

  /** The zone's folder is gone, and its keys go with it. Not for the volume's own zone. @throws {KeyTableError} `ZONE_ABSENT`, … */
  removeZone(zoneId: Buffer): void {
    const zone = this.zone(zoneId);
    if (zone === undefined || zone.path.length === 0) throw new KeyTableError("ZONE_ABSENT");
    this.#append([{ type: "zoneRemoved", zoneId }]);
  }

  /** Writes the table anew, without what is out of date, in the old one's place. @throws {KeyTableError} As any write. */
  compact(): void {
    this.#records.replace(this.#tableKey, this.#records.state.records());
  }

  /**
   * Begins to wrap all keys anew: under another table key, another master key, or both. Nothing changes for anyone until
   * {@link TableRekey.finish}; the table may be used and changed meanwhile.
   *
   * @param tableKey - Copied.
   * @param wrapper - The table becomes its owner when it finishes. Left out: the new table key itself.
   * @throws {KeyTableError} `KEY_TABLE_READ_ONLY`, `KEY_TABLE_SYSTEM`.
   */
  beginRekey(tableKey: SecretBuffer, wrapper?: KeyWrapper): TableRekey {
    this.#records.checkWritable();
    const { system, folder } = this.#parts;
    return new TableRekey(tableKey, wrapper, {
      suite: this.suite,
      volumeId: this.volumeId,
      system,
      folder,
      zones: () => this.#records.state.zones(),
      unwrap: (zone, generation) => this.unwrap(zone, generation),
      namesKey: () => this.namesKey(),
      rules: () => this.rules.rules,
      keepPrevious: () => this.#records.checkWritable().keepPrevious(),
      finish: (key, next, records) => this.#takeOver(key, next, records),
    });
  }

  /** Removes the table that a re-keying kept: now nothing here opens under the keys before it. @throws {KeyTableError} As any write. */
  dropPrevious(): void {
    this.#records.checkWritable().dropPrevious();
  }

  /** Wipes the keys and gives the lock up. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const owned of [this.#records, this.#tableKey, this.#tableWrapper, this.#wrapper]) owned[Symbol.dispose]();
    this.#parts.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #append(records: readonly TableRecord[]): void {
    this.#records.append(records);
    if (!this.#records.isMostlyStale) return;
    try {
      this.compact();
    } catch {
      // The change itself is durable; the file is written anew at a later one.
    }
  }

  #takeOver(tableKey: SecretBuffer, wrapper: KeyWrapper, records: readonly TableRecord[]): void {
    this.#records.replace(tableKey, records);
    for (const old of [this.#tableKey, this.#tableWrapper, this.#wrapper]) old[Symbol.dispose]();
    this.#tableKey = tableKey;
    this.#wrapper = wrapper;
    this.#tableWrapper = new TableKeyWrapper(this.suite, tableKey, this.volumeId);
  }

  #freshKey(
    zone: Pick<Zone, "zoneId" | "protection">,
    generation: number,
  ): { readonly key: SecretBuffer; readonly envelope: Buffer } {
    const wrapper = this.#wrapperOf(zone);
    if (!wrapper.canUnwrap) throw new KeyTableError("PRIVATE_KEY_ABSENT");
    const key = SecretBuffer.random(this.suite.keyBytes);
    return { key, envelope: wrapper.wrap(key, zoneKeyContext(this.volumeId, zone.zoneId, generation)) };
  }

  #wrapperOf({ protection }: Pick<Zone, "protection">): KeyWrapper {
    return protection === "sealed" ? this.#wrapper : this.#tableWrapper;
  }

  #sealedZone(zoneId: Buffer): Zone {
    const zone = this.zone(zoneId);
    if (zone === undefined || zone.destroyed) throw new KeyTableError("ZONE_ABSENT");
    if (zone.protection === "plain") throw new KeyTableError("ZONE_NOT_SEALED");
    return zone;
  }

  #olderGeneration(zoneId: Buffer, generation: number): Generation {
    const zone = this.#sealedZone(zoneId);
    const found = zone.generations.find((one) => one.generation === generation);
    if (found === undefined)
      throw new KeyTableError("GENERATION_ABSENT", `the zone ${hex(zone)} has no key generation ${generation}`);
    if (generation === zone.highestGeneration)
      throw new KeyTableError("GENERATION_IN_USE", `generation ${generation} is the newest of its zone; rotate first`);
    return found;
  }
}

function hex({ zoneId }: Zone): string {
  return zoneId.toString("hex");
}
