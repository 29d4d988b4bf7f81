import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Suite } from "../../../crypto/suite.ts";
import { KeyTableError } from "./errors.ts";
import { generationOf } from "./find-keys.ts";
import { destroyGeneration, destroyZone, removeZone, retireGeneration } from "./key-destruction.ts";
import { addGeneration, type KeyMaker, makeZone } from "./key-making.ts";
import type { KeyWrapper } from "./key-wrapper.ts";
import type { TableRecord } from "./records.ts";
import { TableRekey } from "./rekey.ts";
import type { ZoneRule, ZoneRules } from "./rules.ts";
import type { SessionLog } from "./sessions.ts";
import { TableEnvelopes } from "./table-envelopes.ts";
import type { TableHead, TableLog } from "./table-log.ts";
import type { TableSystem } from "./table-system.ts";
import type { Zone, ZoneProtection } from "./zone.ts";

/** What a re-keying writes anew. */
const keyRecords: ReadonlySet<TableRecord["type"]> = new Set(["wrapping", "namesKey", "quickKey", "zoneMade", "zones"]);

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
  #envelopes: TableEnvelopes;
  #closed = false;

  /** For open-table.ts, which reads and checks first. */
  constructor(parts: KeyTableParts) {
    this.#parts = parts;
    this.suite = parts.suite;
    this.volumeId = parts.volumeId;
    this.tornBytes = parts.tornBytes;
    this.#records = parts.records;
    this.#envelopes = this.#envelopesUnder(parts.tableKey, parts.wrapper);
  }

  get head(): TableHead {
    return this.#records.head;
  }

  get rules(): ZoneRules {
    return this.#records.state.rules;
  }

  /** Who wraps the keys of `sealed` zones, and whether their keys can be unwrapped here. */
  get wrapper(): Pick<KeyWrapper, "identity" | "canUnwrap"> {
    return this.#envelopes.wrapper;
  }

  /** The volume's sessions, and which of them did not end in good order. */
  get sessions(): SessionLog {
    return this.#records.state.sessions;
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
    return this.#envelopes.namesKey();
  }

  /**
   * A data key of a zone. The caller disposes of it.
   *
   * @throws {KeyTableError} `GENERATION_ABSENT`, `PRIVATE_KEY_ABSENT`, `ENVELOPE_REFUSED`.
   */
  unwrap(zone: Zone, generation: number): SecretBuffer {
    return this.#envelopes.unwrap(zone, generationOf(zone, generation));
  }

  /** Other rules from now on; zones that were made stay what they are. @throws {KeyTableError} `RULE_INVALID`, and as any write. */
  setRules(rules: readonly ZoneRule[]): void {
    this.#records.appendGuarded({ type: "rules", rules });
  }

  /**
   * Makes a zone for a folder, with its first data key unless it is plain.
   *
   * @returns The zone and its key, which the caller disposes of.
   * @throws {KeyTableError} `ZONE_EXISTS`, `PRIVATE_KEY_ABSENT` (a zone is not made that could not be read again here),
   *   `KEY_TABLE_LIMIT`, and as any write: `KEY_TABLE_READ_ONLY`, `KEY_TABLE_SYSTEM`, `KEY_TABLE_BROKEN`.
   */
  makeZone(path: readonly string[], protection: ZoneProtection): { readonly zone: Zone; readonly key?: SecretBuffer } {
    return makeZone(this.#maker(), path, protection);
  }

  /**
   * Begins a new generation: what is sealed from now on is sealed under it.
   *
   * @returns The new generation, and its key, which the caller disposes of.
   * @throws {KeyTableError} `ZONE_ABSENT`, `ZONE_NOT_SEALED`, `PRIVATE_KEY_ABSENT`, `KEY_TABLE_LIMIT` with 32 generations
   *   that were not destroyed, and as any write.
   */
  addGeneration(zoneId: Buffer): { readonly generation: number; readonly key: SecretBuffer } {
    return addGeneration(this.#maker(), zoneId);
  }

  /** Marks an older generation as on its way out. @throws {KeyTableError} `GENERATION_IN_USE` for the newest, `GENERATION_ABSENT`, … */
  retireGeneration(zoneId: Buffer, generation: number): void {
    retireGeneration(this.#records, zoneId, generation);
  }

  /**
   * Destroys a retired generation's key: its envelope is in the table's file no more. Who kept an older copy of the file still
   * has it, until the table key is replaced ({@link beginRekey}) and the old one destroyed. When it throws, the generation may be
   * gone and its envelope still be in the file: to be called again, or {@link settle}.
   *
   * @param sealedBytes - How much a full check of the zone has found sealed under it.
   * @throws {KeyTableError} `GENERATION_IN_USE` unless it is retired and `sealedBytes` is 0.
   */
  destroyGeneration(zoneId: Buffer, generation: number, sealedBytes: number): void {
    destroyGeneration(this.#records, zoneId, generation, sealedBytes);
  }

  /**
   * Destroys all keys of a zone: what lies in it cannot be read again. As with generations, only {@link beginRekey} and the end
   * of the old table key take them from who kept a copy of the file. When it throws, the zone may be destroyed and its envelopes still
   * be in the file: to be called again, or {@link settle}.
   *
   * @throws {KeyTableError} `ZONE_ABSENT`, `ZONE_NOT_SEALED`, and as any write.
   */
  destroyZone(zoneId: Buffer): void {
    destroyZone(this.#records, zoneId);
  }

  /** The zone's folder is gone, and its keys go with it. Not for the volume's own zone. @throws {KeyTableError} `ZONE_ABSENT`, … */
  removeZone(zoneId: Buffer): void {
    removeZone(this.#records, zoneId);
  }

  /**
   * Begins the next session of the volume. The table is written anew where there is room, so that a cut anywhere before what this
   * session adds shows as damage; so it is at the session's end.
   *
   * @param session - As `sessions.next()` has given it. @param bootId - Of the machine's start, 16 bytes.
   * @throws {KeyTableError} As any write.
   */
  beginSession(session: number, bootId: Buffer): void {
    this.#records.appendGuarded({ type: "sessionBegun", session, bootId });
  }

  /** The last session has ended in good order. @throws {KeyTableError} As any write. */
  endSession(): void {
    this.#records.appendGuarded({ type: "sessionEnded", session: this.sessions.last });
  }

  /** What the sessions up to this one have left is settled. @throws {KeyTableError} As any write. */
  settleSessions(session: number): void {
    this.#records.appendGuarded({ type: "sessionsSettled", session });
  }

  /** Writes the table anew, if something destroyed is still in the file, or its end could be cut unnoticed. @throws {KeyTableError} As any write. */
  settle(): void {
    this.#records.settle();
  }

  /** Whether the file still has envelopes of zones or generations that are gone. */
  get holdsDestroyed(): boolean {
    return this.#records.holdsDestroyed;
  }

  /** Whether {@link settle} has something to do. */
  get mustBeWritten(): boolean {
    return this.#records.mustBeWritten;
  }

  /** Writes the table anew, without what is out of date, in the old one's place. @throws {KeyTableError} As any write. */
  compact(): void {
    this.#records.compact();
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
      unwrapQuick: (zone, older) => this.#envelopes.unwrapQuick(zone, older),
      namesKey: () => this.namesKey(),
      others: () => this.#records.state.records().filter(({ type }) => !keyRecords.has(type)),
      keepPrevious: () => this.#records.checkWritable().keepPrevious(),
      finish: (key, next, records) => this.#takeOver(key, next, records),
    });
  }

  /** As {@link beginRekey}, for another master key only. @param wrapper - The table becomes its owner when it finishes. */
  beginMasterRekey(wrapper: KeyWrapper): TableRekey {
    return this.beginRekey(this.#envelopes.tableKey, wrapper);
  }

  /**
   * Makes a master key wrap the keys of `sealed` zones from now on, where there are none yet that the table key wraps.
   *
   * @param wrapper - The table becomes its owner.
   * @throws {KeyTableError} `KEY_TABLE_WRONG_KEY` when there are, or another master key does already; as any write.
   */
  adoptMasterKey(wrapper: KeyWrapper): void {
    const sealed = Array.from(this.zones()).some((zone) => zone.protection === "sealed" && !zone.destroyed);
    if (sealed || this.wrapper.identity.kind !== "table-key")
      throw new KeyTableError("KEY_TABLE_WRONG_KEY", "the keys of sealed zones are wrapped already; re-key the volume");
    const others = this.#records.state.records().filter(({ type }) => type !== "wrapping");
    this.#records.replace(this.#envelopes.tableKey, [{ type: "wrapping", wrapper: wrapper.identity }, ...others]);
    this.#envelopes = this.#envelopes.under(wrapper);
  }

  /** Removes the table that a re-keying kept: now nothing here opens under the keys before it. @throws {KeyTableError} As any write. */
  dropPrevious(): void {
    this.#records.checkWritable().dropPrevious();
  }

  /** Wipes the keys and gives the lock up. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const owned of [this.#records, this.#envelopes]) owned[Symbol.dispose]();
    this.#parts.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #maker(): KeyMaker {
    return { records: this.#records, envelopes: this.#envelopes, madeAtMs: this.#parts.nowMs() };
  }

  #takeOver(tableKey: SecretBuffer, wrapper: KeyWrapper, records: readonly TableRecord[]): void {
    this.#records.replace(tableKey, records);
    this.#envelopes[Symbol.dispose]();
    this.#envelopes = this.#envelopesUnder(tableKey, wrapper);
  }

  #envelopesUnder(tableKey: SecretBuffer, wrapper: KeyWrapper): TableEnvelopes {
    const { suite, volumeId } = this;
    return new TableEnvelopes({ suite, volumeId, tableKey, wrapper, records: this.#records });
  }
}
