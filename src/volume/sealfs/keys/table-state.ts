import { damaged } from "./errors.ts";
import type { TableRecord, WrapperIdentity } from "./records.ts";
import { ZoneRules } from "./rules.ts";
import { type Generation, maxGenerationsPerZone, maxZones, pathText, type Zone } from "./zone.ts";

/**
 * What the records of a table add up to. Each record must make sense after those before it; a caller that appends one
 * applies it first to nothing but this.
 */
export class TableState {
  #wrapper: WrapperIdentity | undefined;
  #namesKey: Buffer | undefined;
  #rules = new ZoneRules([]);
  readonly #zones = new Map<string, Zone>();
  readonly #idAtPath = new Map<string, string>();
  /** For each folder, how many zones lie at it or below it. */
  readonly #zonesWithin = new Map<string, number>();

  get rules(): ZoneRules {
    return this.#rules;
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
      case "rules": {
        const before = this.#rules;
        this.#rules = new ZoneRules(record.rules);
        return () => {
          this.#rules = before;
        };
      }
      case "zoneMade":
        return this.#addZone(record);
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
    }
  }

  /** The shortest records that add up to this. */
  records(): readonly TableRecord[] {
    return [
      { type: "wrapping", wrapper: this.wrapper },
      { type: "namesKey", envelope: this.namesKey },
      { type: "rules", rules: this.#rules.rules },
      ...Array.from(this.#zones.values(), (zone) => ({ type: "zoneMade", ...zone }) as const),
    ];
  }

  #addZone({ type, ...zone }: Extract<TableRecord, { type: "zoneMade" }>): () => void {
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
    const { generation, madeAtMs, envelope } = record;
    const generations = [...zone.generations, { generation, retired: false, madeAtMs, envelope }];
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
