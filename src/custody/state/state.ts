import { timingSafeEqual } from "node:crypto";
import { CustodyError } from "../errors.ts";
import type { StoredHead, StoredRow } from "../store/store.ts";
import type { Authenticator } from "./authenticator.ts";
import type { RecordKind, Records, StateChange } from "./records.ts";

type Tables = { readonly [K in RecordKind]: Map<string, Records[K]> };

const tagBytes = 32;

/**
 * All state of the key manager in memory, as of one state version. Rows are checked as they come in: a row whose MAC does
 * not fit, a version that is missing, or a sum that differs from the head's tag stops the load with `STATE_TAMPERED`.
 */
export class State {
  readonly #authenticator: Authenticator;
  readonly #tables: Tables = {
    key: new Map(),
    alias: new Map(),
    grant: new Map(),
    principal: new Map(),
    accessKey: new Map(),
    group: new Map(),
    token: new Map(),
    counter: new Map(),
    enclave: new Map(),
    importToken: new Map(),
    legacy: new Map(),
    integration: new Map(),
    secret: new Map(),
    public: new Map(),
  };
  readonly #rowMacs = new Map<string, Uint8Array>();
  readonly #sum: Buffer = Buffer.alloc(tagBytes);
  readonly #listeners: ((change: StateChange) => void)[] = [];
  #version = 0;

  constructor(authenticator: Authenticator) {
    this.#authenticator = authenticator;
  }

  /** Raised by each change of state. */
  get version(): number {
    return this.#version;
  }

  get<K extends RecordKind>(kind: K, id: string): Records[K] | undefined {
    return this.#tables[kind].get(id);
  }

  all<K extends RecordKind>(kind: K): IterableIterator<[string, Records[K]]> {
    return this.#tables[kind].entries();
  }

  count(kind: RecordKind): number {
    return this.#tables[kind].size;
  }

  /** Calls `listener` for each change as it is applied (and for each row at load): for indexes. */
  onChange(listener: (change: StateChange) => void): void {
    this.#listeners.push(listener);
  }

  /** Rows and tag for changes that are about to be committed as version + 1. Nothing is applied yet. */
  prepare(changes: readonly StateChange[], epoch: number): { readonly rows: StoredRow[]; readonly stateTag: Buffer } {
    const version = this.#version + 1;
    const sum = Buffer.from(this.#sum);
    const rows = changes.map((each): StoredRow => {
      const row = {
        kind: each.kind,
        id: each.id,
        version,
        epoch,
        deleted: each.record === null,
        body: each.record === null ? "" : JSON.stringify(each.record),
      };
      const mac = this.#authenticator.rowMac(row);
      this.#moveSum(sum, this.#rowMacs.get(rowName(each)), mac);
      return { ...row, mac };
    });
    return { rows, stateTag: this.#authenticator.stateTag(sum, version) };
  }

  /** Takes in rows of one or more newer versions and checks them against the head they lead to. */
  apply(rows: readonly StoredRow[], head: StoredHead): void {
    for (const row of rows) {
      const expected = this.#authenticator.rowMac(row);
      if (row.mac.length !== expected.length || !timingSafeEqual(row.mac, expected))
        throw new CustodyError("STATE_TAMPERED", `the row ${row.kind}/${row.id} of the store does not authenticate`);
      this.#moveSum(this.#sum, this.#rowMacs.get(rowName(row)), row.mac);
      this.#rowMacs.set(rowName(row), Buffer.from(row.mac));
      this.#store(parseRow(row));
    }
    this.#version = head.stateVersion;
    const tag = this.#authenticator.stateTag(this.#sum, head.stateVersion);
    if (!timingSafeEqual(tag, head.stateTag))
      throw new CustodyError(
        "STATE_TAMPERED",
        "the store's rows do not add up to its head: a row is missing or was put back",
      );
  }

  /** The tag of a state without rows, for a new store. */
  get emptyTag(): Buffer {
    return this.#authenticator.stateTag(Buffer.alloc(tagBytes), 0);
  }

  #store(each: StateChange): void {
    const table = this.#tables[each.kind] as Map<string, Records[RecordKind]>;
    if (each.record === null) table.delete(each.id);
    else table.set(each.id, each.record);
    for (const listener of this.#listeners) listener(each);
  }

  #moveSum(sum: Buffer, oldMac: Uint8Array | undefined, newMac: Uint8Array): void {
    const parts = [newMac, ...(oldMac === undefined ? [] : [oldMac])].map((mac) => this.#authenticator.tagPart(mac));
    for (const part of parts)
      for (let index = 0; index < tagBytes; index++) sum[index] = (sum[index] ?? 0) ^ (part[index] ?? 0);
  }
}

function rowName(row: { readonly kind: string; readonly id: string }): string {
  return `${row.kind}\0${row.id}`;
}

const kinds: ReadonlySet<string> = new Set<RecordKind>([
  "key",
  "alias",
  "grant",
  "principal",
  "accessKey",
  "group",
  "token",
  "counter",
  "enclave",
  "importToken",
  "legacy",
  "integration",
  "secret",
  "public",
]);

/** The MAC has been checked: this program wrote the body, so its shape is known. */
function parseRow(row: StoredRow): StateChange {
  if (!kinds.has(row.kind))
    throw new CustodyError(
      "STORE_UNUSABLE",
      `the store holds rows of kind ${row.kind}: it was written by a newer program`,
    );
  return {
    kind: row.kind as RecordKind,
    id: row.id,
    record: row.deleted ? null : (JSON.parse(row.body) as Records[RecordKind]),
  };
}
