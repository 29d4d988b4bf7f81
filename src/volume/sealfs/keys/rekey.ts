import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { type Suite, suiteHash } from "../../../crypto/suite.ts";
import { KeyTableError } from "./errors.ts";
import { type KeyWrapper, namesKeyContext, quickKeyContext, zoneKeyContext } from "./key-wrapper.ts";
import type { TableRecord } from "./records.ts";
import { RewrapFile } from "./rewrap-file.ts";
import { TableKeyWrapper } from "./table-key-wrapper.ts";
import type { TableSystem } from "./table-system.ts";
import type { Generation, Zone } from "./zone.ts";
import { zoneRecords } from "./zone-records.ts";

/** What a re-keying needs of the table that it works on. */
export interface RekeyedTable {
  readonly suite: Suite;
  readonly volumeId: Buffer;
  readonly system: TableSystem;
  readonly folder: string;
  zones(): Iterable<Zone>;
  /** The records that hold no key: rules. */
  others(): readonly TableRecord[];
  unwrap(zone: Zone, generation: number): SecretBuffer;
  /** The key, if it lies under the table's quick key. */
  unwrapQuick(zone: Zone, older: Generation): SecretBuffer | undefined;
  namesKey(): SecretBuffer;
  /** Keeps a copy of the table as it is. */
  keepPrevious(): void;
  /** Puts the new table in the old one's place; becomes the owner of key and wrapper. */
  finish(tableKey: SecretBuffer, wrapper: KeyWrapper, records: readonly TableRecord[]): void;
}

/** A key in its envelope, for whoever unwraps and wraps it elsewhere. */
export interface EnvelopedKey {
  readonly zoneId: Buffer;
  readonly generation: number;
  readonly envelope: Buffer;
}

export interface RekeyFinish {
  /**
   * Keeps the old table as it is, under its old keys, until `KeyTable.dropPrevious`. Not when keys are to be destroyed.
   * @defaultValue `false`
   */
  readonly keepPrevious?: boolean;
}

export interface RekeyProgress {
  readonly done: number;
  readonly total: number;
}

/** A step's records fit one append. */
const maxStepKeys = 2048;

/**
 * Wraps every key of a table anew, some at a time. The new envelopes are kept in a file of their own, which a re-keying that
 * begins again after a kill goes on from; the table itself is replaced once, at the end, by one rename.
 */
export class TableRekey implements Disposable {
  readonly #table: RekeyedTable;
  readonly #tableKey: SecretBuffer;
  readonly #wrapper: KeyWrapper;
  readonly #tableWrapper: TableKeyWrapper;
  readonly #file: RewrapFile;
  #finished = false;

  /** By `KeyTable.beginRekey`. @throws {KeyTableError} `KEY_TABLE_SYSTEM`. */
  constructor(tableKey: SecretBuffer, wrapper: KeyWrapper | undefined, table: RekeyedTable) {
    this.#table = table;
    this.#tableKey = tableKey.clone();
    this.#tableWrapper = new TableKeyWrapper(table.suite, tableKey, table.volumeId);
    this.#wrapper = wrapper ?? new TableKeyWrapper(table.suite, tableKey, table.volumeId);
    this.#file = new RewrapFile(table.system, table.folder, {
      suite: table.suite,
      volumeId: table.volumeId,
      tableKey: this.#tableKey,
      identity: this.#wrapper.identity,
    });
  }

  /** How many keys are wrapped anew, and how many there are to wrap. */
  get progress(): RekeyProgress {
    let done = 0;
    let total = 0;
    for (const { zone, older } of this.#keys()) {
      total += 1;
      if (this.#file.envelopeOf(zone, older) !== undefined) done += 1;
    }
    return { done, total };
  }

  /**
   * Wraps up to so many keys anew, durably. Where the new wrapper can unwrap, each new envelope is opened again and compared.
   *
   * @param mostKeys - 1 to 2,048.
   * @throws {KeyTableError} `PRIVATE_KEY_ABSENT`; `ENVELOPE_REFUSED` when an old envelope does not open or a new one does not hold the same key,
   *   `KEY_TABLE_SYSTEM`. What earlier steps did stays done.
   */
  step(mostKeys: number): RekeyProgress {
    if (!Number.isInteger(mostKeys) || mostKeys < 1 || mostKeys > maxStepKeys)
      throw new RangeError(`a step wraps 1 to ${maxStepKeys} keys, got ${mostKeys}`);
    const records: Extract<TableRecord, { type: "rewrapped" }>[] = [];
    for (const { zone, older } of this.#keys()) {
      if (records.length >= mostKeys) break;
      if (this.#file.envelopeOf(zone, older) !== undefined) continue;
      const replaces = suiteHash(this.#table.suite, older.envelope);
      const envelope = this.#rewrap(zone, older.generation);
      records.push({ type: "rewrapped", zoneId: zone.zoneId, generation: older.generation, replaces, envelope });
    }
    this.#file.add(records);
    return this.progress;
  }

  /** Up to so many keys of `sealed` zones that have no new envelope yet, in their old ones. */
  waiting(mostKeys: number): readonly EnvelopedKey[] {
    const found: EnvelopedKey[] = [];
    for (const { zone, older } of this.#keys()) {
      if (found.length >= mostKeys) break;
      if (zone.protection !== "sealed" || this.#file.envelopeOf(zone, older) !== undefined) continue;
      found.push({ zoneId: zone.zoneId, generation: older.generation, envelope: older.envelope });
    }
    return found;
  }

  /**
   * Takes new envelopes of {@link waiting} keys that were made elsewhere, durably. That they hold the same keys is the caller's
   * to see to.
   *
   * @param made - At most 2,048.
   * @throws {KeyTableError} `GENERATION_ABSENT` for a key that the table does not have, `KEY_TABLE_SYSTEM`.
   */
  stage(made: readonly EnvelopedKey[]): RekeyProgress {
    if (made.length > maxStepKeys) throw new RangeError(`at most ${maxStepKeys} envelopes at once, got ${made.length}`);
    const current = new Map<string, Buffer>();
    for (const { zone, older } of this.#keys())
      if (zone.protection === "sealed") current.set(nameOf(zone.zoneId, older.generation), older.envelope);
    this.#file.add(
      made.map(({ zoneId, generation, envelope }) => {
        const replaced = current.get(nameOf(zoneId, generation));
        if (replaced === undefined) throw new KeyTableError("GENERATION_ABSENT");
        return { type: "rewrapped", zoneId, generation, replaces: suiteHash(this.#table.suite, replaced), envelope };
      }),
    );
    return this.progress;
  }

  /** What has new envelopes by now. */
  staged(): readonly EnvelopedKey[] {
    return Array.from(this.#keys()).flatMap(({ zone, older }) => {
      const envelope = this.#file.envelopeOf(zone, older);
      return envelope === undefined ? [] : [{ zoneId: zone.zoneId, generation: older.generation, envelope }];
    });
  }

  /**
   * Wraps what is left, and puts the new table in the old one's place. From now on the old table key opens nothing; it is
   * the caller's to destroy, with every copy.
   *
   * @throws {KeyTableError} As {@link step}, and when the table can't be replaced; the old one is then in use.
   */
  finish({ keepPrevious = false }: RekeyFinish = {}): void {
    let { done, total } = this.progress;
    while (done < total) ({ done, total } = this.step(maxStepKeys));
    const { zones, quickKey } = this.#zonesAnew();
    using namesKey = this.#table.namesKey();
    if (keepPrevious) this.#table.keepPrevious();
    this.#table.finish(this.#tableKey, this.#wrapper, [
      { type: "wrapping", wrapper: this.#wrapper.identity },
      { type: "namesKey", envelope: this.#tableWrapper.wrap(namesKey, namesKeyContext(this.#table.volumeId)) },
      ...quickKey,
      ...this.#table.others(),
      ...zoneRecords(zones),
    ]);
    this.#finished = true;
    this[Symbol.dispose]();
    this.#file.remove();
  }

  /** Forgets the keys. What was wrapped anew stays for a re-keying that begins again under the same keys. */
  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
    this.#tableWrapper[Symbol.dispose]();
    if (this.#finished) return;
    this.#tableKey[Symbol.dispose]();
    this.#wrapper[Symbol.dispose]();
  }

  /** Under another quick key: who has the master key of before must not open with it what is wrapped from now on. */
  #zonesAnew(): { readonly zones: readonly Zone[]; readonly quickKey: readonly TableRecord[] } {
    const { suite, volumeId } = this.#table;
    using key = SecretBuffer.random(suite.keyBytes);
    using quickWrapper = new TableKeyWrapper(suite, key, volumeId);
    let hasQuick = false;
    const zones = Array.from(this.#table.zones(), (zone) => ({
      ...zone,
      generations: zone.generations.map(({ quick, ...older }): Generation => {
        const anew = { ...older, envelope: this.#newEnvelope(zone, older) };
        using dataKey = this.#wrapper.identity.kind === "sm2" ? this.#quickly(zone, older, quick) : undefined;
        if (dataKey === undefined) return anew;
        hasQuick = true;
        return { ...anew, quick: quickWrapper.wrap(dataKey, zoneKeyContext(volumeId, zone.zoneId, older.generation)) };
      }),
    }));
    if (!hasQuick) return { zones, quickKey: [] };
    return { zones, quickKey: [{ type: "quickKey", envelope: this.#wrapper.wrap(key, quickKeyContext(volumeId)) }] };
  }

  #quickly(zone: Zone, older: Generation, quick: Buffer | undefined): SecretBuffer | undefined {
    return quick === undefined ? undefined : this.#table.unwrapQuick(zone, { ...older, quick });
  }

  *#keys(): Iterable<{ readonly zone: Zone; readonly older: Generation }> {
    for (const zone of this.#table.zones()) for (const older of zone.generations) yield { zone, older };
  }

  #rewrap(zone: Zone, generation: number): Buffer {
    const wrapper = zone.protection === "sealed" ? this.#wrapper : this.#tableWrapper;
    const context = zoneKeyContext(this.#table.volumeId, zone.zoneId, generation);
    using key = this.#table.unwrap(zone, generation);
    const envelope = wrapper.wrap(key, context);
    if (!wrapper.canUnwrap) return envelope;
    using again = wrapper.unwrap(envelope, context);
    if (!again.equals(key))
      throw new KeyTableError("ENVELOPE_REFUSED", "a new envelope does not hold the key it was made of");
    return envelope;
  }

  #newEnvelope(zone: Zone, older: Generation): Buffer {
    const envelope = this.#file.envelopeOf(zone, older);
    if (envelope === undefined) throw new KeyTableError("GENERATION_ABSENT", "a key was not wrapped anew");
    return envelope;
  }
}

function nameOf(zoneId: Buffer, generation: number): string {
  return `${zoneId.toString("hex")}/${generation}`;
}
