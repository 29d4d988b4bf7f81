import { asBytes, type BaseLevel, type BaseOperation } from "./base-level.ts";
import { baseSnapshot } from "./encrypted-snapshot.ts";
import type { ReadOptions } from "./entry-reader.ts";
import type { OpenStore } from "./open-store.ts";
import { allEntries, inScope, type NameRange, orderedRange, type SublevelScope, unorderedScope } from "./ranges.ts";
import { BatchSealer } from "./sealed-value.ts";
import type { WriteGate } from "./write-gate.ts";

export interface LevelOperation {
  readonly type: "put" | "del";
  readonly key: Buffer;
  readonly value?: Buffer;
}

/** Options of `clear()` as abstract-level hands them on; `limit` is -1 for none. */
export interface ClearOptions extends NameRange, ReadOptions {
  readonly limit: number;
}

const clearBatchEntries = 500;

/** Writes entries by name. Every write passes the gate, so that none runs beside a rotation step. */
export class EntryWriter {
  readonly #base: BaseLevel;
  readonly #store: OpenStore;
  readonly #gate: WriteGate;

  constructor(base: BaseLevel, store: OpenStore, gate: WriteGate) {
    this.#base = base;
    this.#store = store;
    this.#gate = gate;
  }

  async put(name: Buffer, value: Buffer, options: object): Promise<void> {
    if (this.#gate.shut !== undefined) return this.batch([{ type: "put", key: name, value }], options);
    this.#gate.enter();
    try {
      const { keyring, names } = this.#store;
      const storedKey = names.store(name);
      const older = names.storeUnderOlder(name);
      const sealed = new BatchSealer(keyring, 1).seal(storedKey, value);
      if (older === undefined) return await this.#base.put(storedKey, sealed, options);
      const operations: BaseOperation[] = [
        { type: "del", key: older },
        { type: "put", key: storedKey, value: sealed },
      ];
      await this.#base.batch(operations, options);
    } finally {
      this.#gate.leave();
    }
  }

  async del(name: Buffer, options: object): Promise<void> {
    return this.batch([{ type: "del", key: name }], options);
  }

  async batch(given: readonly LevelOperation[], options: object): Promise<void> {
    let operations = given;
    if (this.#gate.shut !== undefined) {
      // A base reads the caller's buffers before its method returns; so must we, though the write has to wait.
      operations = given.map(copyOperation);
      while (this.#gate.shut !== undefined) await this.#gate.shut;
    }
    this.#gate.enter();
    try {
      await this.#base.batch(this.#seal(operations), { ...options, ...asBytes });
    } finally {
      this.#gate.leave();
    }
  }

  async clear(options: ClearOptions): Promise<void> {
    while (this.#gate.shut !== undefined) await this.#gate.shut;
    this.#gate.enter();
    try {
      const { names } = this.#store;
      const { limit, reverse } = options;
      const snapshot = baseSnapshot(options.snapshot);
      const forward = { ...asBytes, limit, reverse, ...(snapshot === undefined ? {} : { snapshot }) };
      if (names.ordered) return await this.#base.clear({ ...forward, ...orderedRange(names, options) });
      const scope = unorderedScope(options);
      if (scope === undefined) return await this.#base.clear({ ...forward, ...allEntries(names) });
      await this.#clearScope(scope, limit, forward);
    } finally {
      this.#gate.leave();
    }
  }

  async #clearScope(scope: SublevelScope, limit: number, forward: object): Promise<void> {
    const { names } = this.#store;
    const iterator = this.#base.iterator({ ...forward, ...allEntries(names), limit: -1, values: false });
    try {
      let left = limit < 0 ? Number.POSITIVE_INFINITY : limit;
      while (left > 0) {
        const entries = await iterator.nextv(clearBatchEntries);
        if (entries.length === 0) return;
        const inside = entries.filter(([storedKey]) => inScope(names.name(storedKey), scope)).slice(0, left);
        left -= inside.length;
        await this.#base.batch(
          inside.map(([key]) => ({ type: "del", key })),
          asBytes,
        );
      }
    } finally {
      await iterator.close();
    }
  }

  #seal(operations: readonly LevelOperation[]): BaseOperation[] {
    const { keyring, names } = this.#store;
    let puts = 0;
    for (const operation of operations) if (operation.type === "put") puts += 1;
    const sealer = puts === 0 ? undefined : new BatchSealer(keyring, puts);
    const result: BaseOperation[] = [];
    for (const { type, key, value } of operations) {
      const storedKey = names.store(key);
      const older = names.storeUnderOlder(key);
      if (older !== undefined) result.push({ type: "del", key: older });
      if (type === "del" || sealer === undefined || value === undefined) result.push({ type: "del", key: storedKey });
      else result.push({ type: "put", key: storedKey, value: sealer.seal(storedKey, value) });
    }
    return result;
  }
}

function copyOperation({ type, key, value }: LevelOperation): LevelOperation {
  return type === "del" || value === undefined
    ? { type, key: Buffer.from(key) }
    : { type, key: Buffer.from(key), value: Buffer.from(value) };
}
