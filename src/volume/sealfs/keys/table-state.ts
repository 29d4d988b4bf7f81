import { damaged } from "./errors.ts";
import { isDestruction, type TableRecord, type WrapperIdentity } from "./records.ts";
import { ZoneRules } from "./rules.ts";
import { SessionLog } from "./sessions.ts";
import { type Generation, maxGenerationsPerZone, maxZones, pathText, type Zone } from "./zone.ts";
import { zoneRecords } from "./zone-records.ts";

/**
 * What the records of a table add up to. Each record must make sense after those before it; a caller that appends one
 * applies it first to nothing but this.
 */
export class TableState {
  #wrapper: WrapperIdentity | undefined;
  #namesKey: Buffer | undefined;
  #quickKey: Buffer | undefined;
  #rules = new ZoneRules([]);
  #sessions = SessionLog.none;
  readonly #zones = new Map<string, Zone>();
  readonly #idAtPath = new Map<string, string>();
  #sawDestruction = false;
  /** For each folder, how many zones lie at it or below it. */
  readonly #zonesWithin = new Map<string, number>();

  /** True when a record said that keys are gone. */
  get sawDestruction(): boolean {
    return this.#sawDestruction;
  }

  get rules(): ZoneRules {
    return this.#rules;
  }

  get sessions(): SessionLog {
    return this.#sessions;
  }

  get zoneCount(): number {
    return this.#zones.size;
  }

  zones(): IterableIterator<Zone> {
    return this.#zones.values();
  }

  zone(zoneId: Buffer): Zone | undefined {
    return this.#zones.get(zoneId.toString("latin1"));
  }

  /** The zone made for this very path. */
  zoneMadeFor(path: readonly string[]): Zone | undefined {
    const id = this.#idAtPath.get(pathText(path));
    return id === undefined ? undefined : this.#zones.get(id);
  }

  /** The zone of a folder: that of the deepest folder at or above it. There is always the volume's own. */
  zoneOf(path: readonly string[]): Zone {
    for (let depth = path.length; depth >= 0; depth--) {
      const zone = this.zoneMadeFor(depth === path.length ? path : path.slice(0, depth));
      if (zone !== undefined) return zone;
    }
    throw damaged("it has no zone for the volume itself");
  }

  /** True when a zone lies at this folder or below it. */
  hasZoneWithin(path: readonly string[]): boolean {
    return this.#zonesWithin.has(pathText(path));
  }

  get wrapper(): WrapperIdentity {
    if (this.#wrapper === undefined) throw damaged("it does not say who wraps its keys");
    return this.#wrapper;
  }

  get namesKey(): Buffer {
    if (this.#namesKey === undefined) throw damaged("it has no names key");
    return this.#namesKey;
  }

  /** Wrapped; undefined while the table has none. */
  get quickKey(): Buffer | undefined {
    return this.#quickKey;
  }

  /** Keeps a key under the quick key; it is in the file once the table is written anew. */
  setQuick(zoneId: Buffer, generation: number, quick: Buffer): void {
    const zone = this.#liveZone(zoneId);
    const generations = zone.generations.map((one) => (one.generation === generation ? { ...one, quick } : one));
    this.#replaceZone(zone, { generations });
  }

  /** @throws {KeyTableError} `KEY_TABLE_DAMAGED` when what every table has is missing. */
  checkComplete(): void {
    void this.wrapper;
    void this.namesKey;
    void this.zoneOf([]);
  }

  /**
   * @returns Takes the record back, as long as no other was applied after it.
   * @throws {KeyTableError} `KEY_TABLE_DAMAGED` for a record that makes no sense here; nothing is changed then.
   */
  apply(record: TableRecord): () => void {
    const undo = this.#apply(record);
    if (isDestruction(record)) this.#sawDestruction = true;
    return undo;
  }

  #apply(record: TableRecord): () => void {
    switch (record.type) {
      case "wrapping":
        if (this.#wrapper !== undefined) throw damaged("it says twice who wraps its keys");
        this.#wrapper = record.wrapper;
        return () => {
          this.#wrapper = undefined;
        };
      case "namesKey":
        if (this.#namesKey !== undefined) throw damaged("it has two names keys");
        this.#namesKey = record.envelope;
        return () => {
          this.#namesKey = undefined;
        };
      case "quickKey":
        if (this.#quickKey !== undefined) throw damaged("it has two quick keys");
        this.#quickKey = record.envelope;
        return () => {
          this.#quickKey = undefined;
        };
      case "rules": {
        const before = this.#rules;
        this.#rules = new ZoneRules(record.rules);
        return () => {
          this.#rules = before;
        };
      }
      case "zoneMade": {
        const { type, ...zone } = record;
        return this.#addZone(zone);
      }
      case "zones":
        return this.#addZones(record.zones);
      case "generationAdded":
        return this.#addGeneration(record);
      case "generationRetired":
        return this.#changeOlderGeneration(record, false, (older) => [{ ...older, retired: true }]);
      case "generationDestroyed":
        return this.#changeOlderGeneration(record, true, () => []);
      case "zoneDestroyed":
        return this.#replaceZone(this.#liveZone(record.zoneId), { destroyed: true, generations: [] });
      case "zoneRemoved":
        return this.#removeZone(record.zoneId);
      case "rewrapped":
        throw damaged("it holds a record of an unfinished re-wrapping");
      case "sessions":
        if (this.#sessions.last !== 0) throw damaged("it tells of its sessions twice");
        return this.#replaceSessions(record.log);
      case "sessionBegun":
        return this.#replaceSessions(this.#sessions.begun(record.session, record.bootId));
      case "sessionEnded":
        return this.#replaceSessions(this.#sessions.ended(record.session));
      case "sessionsSettled":
        return this.#replaceSessions(this.#sessions.settled(record.session));
    }
  }

  /** The shortest records that add up to this. */
  records(): readonly TableRecord[] {
    return [
      { type: "wrapping", wrapper: this.wrapper },
      { type: "namesKey", envelope: this.namesKey },
      ...(this.#quickKey === undefined ? [] : [{ type: "quickKey", envelope: this.#quickKey } as const]),
      { type: "rules", rules: this.#rules.rules },
      ...zoneRecords(this.#zones.values()),
    ];
  }

  #replaceSessions(log: SessionLog): () => void {
    const before = this.#sessions;
    this.#sessions = log;
    return () => {
      this.#sessions = before;
    };
  }

  #addZones(zones: readonly Zone[]): () => void {
    const undo: (() => void)[] = [];
    const takeBack = () => {
      for (const one of undo.reverse()) one();
    };
    try {
      for (const zone of zones) undo.push(this.#addZone(zone));
      return takeBack;
    } catch (error) {
      takeBack();
      throw error;
    }
  }

  #addZone(zone: Zone): () => void {
    if (this.#zones.size >= maxZones) throw damaged("it has too many zones");
    if (this.zone(zone.zoneId) !== undefined) throw damaged("it has one zone twice");
    if (this.#idAtPath.has(pathText(zone.path))) throw damaged("it has two zones for one folder");
    if (!isSound(zone)) throw damaged("it has a zone with keys that do not fit its kind");
    this.#insert(zone);
    return () => this.#delete(zone);
  }

  #removeZone(zoneId: Buffer): () => void {
    const zone = this.zone(zoneId);
    if (zone === undefined || zone.path.length === 0) throw damaged("it removes a zone that it cannot");
    this.#delete(zone);
    return () => this.#insert(zone);
  }

  #insert(zone: Zone): void {
    const id = zone.zoneId.toString("latin1");
    this.#zones.set(id, zone);
    this.#idAtPath.set(pathText(zone.path), id);
    this.#countWithin(zone.path, 1);
  }

  #delete(zone: Zone): void {
    this.#zones.delete(zone.zoneId.toString("latin1"));
    this.#idAtPath.delete(pathText(zone.path));
    this.#countWithin(zone.path, -1);
  }

  #addGeneration(record: Extract<TableRecord, { type: "generationAdded" }>): () => void {
    const zone = this.#liveZone(record.zoneId);
    if (record.generation !== zone.highestGeneration + 1 || zone.generations.length >= maxGenerationsPerZone)
      throw damaged("it adds a key generation out of turn");
    const { generation, madeAtMs, envelope, quick } = record;
    const added = { generation, retired: false, madeAtMs, envelope, ...(quick === undefined ? {} : { quick }) };
    const generations = [...zone.generations, added];
    return this.#replaceZone(zone, { highestGeneration: generation, generations });
  }

  /** Of all but the newest, which alone is never retired. */
  #changeOlderGeneration(
    { zoneId, generation }: { readonly zoneId: Buffer; readonly generation: number },
    retired: boolean,
    change: (older: Generation) => readonly Generation[],
  ): () => void {
    const zone = this.#liveZone(zoneId);
    const found = zone.generations.find((one) => one.generation === generation);
    if (found === undefined || generation === zone.highestGeneration || found.retired !== retired)
      throw damaged("it retires or destroys a key generation out of turn");
    const generations = zone.generations.flatMap((one) => (one === found ? change(one) : [one]));
    return this.#replaceZone(zone, { generations });
  }

  #liveZone(zoneId: Buffer): Zone {
    const zone = this.zone(zoneId);
    if (zone === undefined || zone.destroyed || zone.protection === "plain")
      throw damaged("it changes the keys of a zone that has none");
    return zone;
  }

  #replaceZone(before: Zone, change: Partial<Zone>): () => void {
    const id = before.zoneId.toString("latin1");
    this.#zones.set(id, { ...before, ...change });
    return () => this.#zones.set(id, before);
  }

  #countWithin(path: readonly string[], by: number): void {
    for (let depth = 0; depth <= path.length; depth++) {
      const folder = pathText(path.slice(0, depth));
      const count = (this.#zonesWithin.get(folder) ?? 0) + by;
      if (count === 0) this.#zonesWithin.delete(folder);
      else this.#zonesWithin.set(folder, count);
    }
  }
}

function isSound({ protection, destroyed, highestGeneration, generations }: Zone): boolean {
  if (protection === "plain") return !destroyed && highestGeneration === 0 && generations.length === 0;
  if (destroyed) return generations.length === 0 && highestGeneration > 0;
  const newest = generations.at(-1);
  return (
    newest !== undefined &&
    newest.generation === highestGeneration &&
    !newest.retired &&
    generations.every(({ generation }, at) => generation > (generations[at - 1]?.generation ?? 0))
  );
}
