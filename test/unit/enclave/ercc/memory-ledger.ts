import {
  type ChaincodeDefinition,
  type Creator,
  compositeKey,
  type RecordName,
  type RecordType,
  type RegistryState,
} from "../../../../src/enclave/ercc/registry-state.ts";

interface Versioned {
  readonly name: RecordName;
  readonly value: Buffer;
  readonly version: number;
}

/**
 * One peer's state in memory, with what Fabric does about it: a transaction reads the state before it and never its own writes,
 * and is valid only where what it read is still so when it comes to be committed.
 */
export class MemoryLedger {
  readonly channelId: string;
  readonly channelHash: Buffer;
  readonly definitions = new Map<string, ChaincodeDefinition>();
  readonly #records = new Map<string, Versioned>();
  #version = 0;

  constructor(channelId: string, channelHash: Buffer) {
    this.channelId = channelId;
    this.channelHash = channelHash;
  }

  begin(creator: Creator, timestampMs: number): MemoryTransaction {
    return new MemoryTransaction(this, creator, timestampMs, `tx${this.#version}`);
  }

  read(key: string): Versioned | undefined {
    return this.#records.get(key);
  }

  /** In the order of their keys' bytes, as Fabric has them. */
  range(prefix: string): Versioned[] {
    return [...this.#records]
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .map(([, record]) => record);
  }

  /** False where something that it read has changed since: nothing is written then. */
  commit(transaction: MemoryTransaction): boolean {
    const { reads, ranges, writes } = transaction;
    for (const [key, version] of reads) if (this.#records.get(key)?.version !== version) return false;
    for (const [prefix, versions] of ranges)
      if (JSON.stringify(this.range(prefix).map(({ version }) => version)) !== versions) return false;
    for (const { name, value } of writes.values()) {
      this.#version += 1;
      if (value === undefined) this.#records.delete(compositeKey(name));
      else this.#records.set(compositeKey(name), { name, value, version: this.#version });
    }
    return true;
  }

  /** The whole state, to compare. */
  snapshot(): string {
    return JSON.stringify(this.range("").map(({ name, value }) => [name, value.toString("latin1")]));
  }
}

export class MemoryTransaction implements RegistryState {
  readonly channelId: string;
  readonly txId: string;
  readonly timestampMs: number;
  readonly creator: Creator;
  readonly reads = new Map<string, number | undefined>();
  readonly ranges = new Map<string, string>();
  readonly writes = new Map<string, { readonly name: RecordName; readonly value: Buffer | undefined }>();
  readonly #ledger: MemoryLedger;

  constructor(ledger: MemoryLedger, creator: Creator, timestampMs: number, txId: string) {
    this.#ledger = ledger;
    this.channelId = ledger.channelId;
    this.creator = creator;
    this.timestampMs = timestampMs;
    this.txId = txId;
  }

  async get(name: RecordName): Promise<Uint8Array | undefined> {
    this.#refuseOwnWrite(name);
    const record = this.#ledger.read(compositeKey(name));
    this.reads.set(compositeKey(name), record?.version);
    return record?.value;
  }

  async put(name: RecordName, value: Uint8Array): Promise<void> {
    if (value.length === 0) throw new Error(`${name.type} would be empty`);
    this.writes.set(compositeKey(name), { name, value: Buffer.from(value) });
  }

  async delete(name: RecordName): Promise<void> {
    this.writes.set(compositeKey(name), { name, value: undefined });
  }

  async *scan(type: RecordType, attributes: readonly string[]) {
    const prefix = compositeKey({ type, attributes });
    for (const { name } of this.writes.values())
      if (compositeKey(name).startsWith(prefix)) throw new Error(`${type} is scanned after it was written`);
    const records = this.#ledger.range(prefix);
    this.ranges.set(prefix, JSON.stringify(records.map(({ version }) => version)));
    for (const { name, value } of records) yield { attributes: name.attributes, value };
  }

  async definition(chaincodeId: string): Promise<ChaincodeDefinition | undefined> {
    return this.#ledger.definitions.get(chaincodeId);
  }

  async channelHash(): Promise<Uint8Array> {
    return this.#ledger.channelHash;
  }

  /** A peer would give the value from before: who reads his own write has counted on something else. */
  #refuseOwnWrite(name: RecordName): void {
    if (this.writes.has(compositeKey(name))) throw new Error(`${name.type} is read after it was written`);
  }
}
