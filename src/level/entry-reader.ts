import type { AbstractSnapshot } from "abstract-level";
import type { BaseLevel } from "./base-level.ts";
import { baseSnapshot } from "./encrypted-snapshot.ts";
import type { OpenStore } from "./open-store.ts";
import { openValue } from "./sealed-value.ts";

export interface ReadOptions {
  readonly snapshot?: AbstractSnapshot | undefined;
}

const partNames = 32;
const none: Buffer[] = [];

/**
 * Reads entries by name. While encrypted names are under rotation an entry lies under its new or its older stored name,
 * and may move from the older to the new one between two reads, never back: so a miss in both is asked once more. A
 * snapshot stands still, but may be older than rotations that have finished.
 */
export class EntryReader {
  readonly #base: BaseLevel;
  readonly #store: OpenStore;

  constructor(base: BaseLevel, store: OpenStore) {
    this.#base = base;
    this.#store = store;
  }

  async get(name: Buffer, options: ReadOptions): Promise<Buffer | undefined> {
    const { keyring, names } = this.#store;
    const forward = readOptions(options);
    const storedKey = names.store(name);
    const sealed = await this.#base.get(storedKey, forward);
    if (sealed !== undefined) return openValue(keyring, storedKey, sealed);
    return this.#getMissed(name, forward);
  }

  getSync(name: Buffer, options: ReadOptions): Buffer | undefined {
    const { keyring, names } = this.#store;
    const forward = readOptions(options);
    const storedKey = names.store(name);
    const sealed = this.#base.getSync(storedKey, forward);
    if (sealed !== undefined) return openValue(keyring, storedKey, sealed);
    for (const other of this.#otherPlaces(name, forward)) {
      const found = this.#base.getSync(other, forward);
      if (found !== undefined) return openValue(keyring, other, found);
    }
    return undefined;
  }

  /**
   * Many names are read in parts, all from one snapshot, so that the base reads on its own threads while values that
   * have come are opened on this one.
   */
  async getMany(wanted: readonly Buffer[], options: ReadOptions): Promise<(Buffer | undefined)[]> {
    const forward = readOptions(options);
    if (wanted.length <= partNames || !this.#base.supports.explicitSnapshots) return this.#getPart(wanted, forward);
    const own = forward.snapshot === undefined ? this.#base.snapshot() : undefined;
    try {
      const fromOne = own === undefined ? forward : { ...forward, snapshot: own };
      const parts: Promise<(Buffer | undefined)[]>[] = [];
      for (let first = 0; first < wanted.length; first += partNames)
        parts.push(this.#getPart(wanted.slice(first, first + partNames), fromOne));
      return (await Promise.all(parts)).flat();
    } finally {
      await own?.close();
    }
  }

  async #getPart(wanted: readonly Buffer[], forward: ReadOptions): Promise<(Buffer | undefined)[]> {
    const { keyring, names } = this.#store;
    const storedKeys = wanted.map((name) => names.store(name));
    const values = await this.#base.getMany(storedKeys, forward);
    for (let index = 0; index < values.length; index++) {
      const sealed = values[index];
      if (sealed !== undefined) values[index] = openValue(keyring, storedKeys[index] as Buffer, sealed);
      else if (!names.ordered) values[index] = await this.#getMissed(wanted[index] as Buffer, forward);
    }
    return values;
  }

  /** An entry that was not under its current stored name. */
  async #getMissed(name: Buffer, forward: ReadOptions): Promise<Buffer | undefined> {
    for (const other of this.#otherPlaces(name, forward)) {
      const sealed = await this.#base.get(other, forward);
      if (sealed !== undefined) return openValue(this.#store.keyring, other, sealed);
    }
    return undefined;
  }

  async #hasMissed(name: Buffer, forward: ReadOptions): Promise<boolean> {
    for (const other of this.#otherPlaces(name, forward)) if (await this.#base.has(other, forward)) return true;
    return false;
  }

  /** Where to look, in this order, for an entry that was not under its current stored name. */
  #otherPlaces(name: Buffer, forward: ReadOptions): Buffer[] {
    const { names } = this.#store;
    if (names.ordered) return none;
    if (forward.snapshot !== undefined) return names.storeInSnapshot(name);
    const older = names.storeUnderOlder(name);
    return older === undefined ? none : [older, names.store(name)];
  }

  async has(name: Buffer, options: ReadOptions): Promise<boolean> {
    const forward = readOptions(options);
    return (await this.#base.has(this.#store.names.store(name), forward)) || this.#hasMissed(name, forward);
  }

  async hasMany(wanted: readonly Buffer[], options: ReadOptions): Promise<boolean[]> {
    const { names } = this.#store;
    const forward = readOptions(options);
    const storedKeys = wanted.map((name) => names.store(name));
    const found = await this.#base.hasMany(storedKeys, forward);
    if (names.ordered) return found;
    return Promise.all(found.map((hit, index) => hit || this.#hasMissed(wanted[index] as Buffer, forward)));
  }
}

/** The caller's options with the base's snapshot in place of ours. */
function readOptions(options: ReadOptions): ReadOptions {
  return options.snapshot == null ? options : { ...options, snapshot: baseSnapshot(options.snapshot) };
}
