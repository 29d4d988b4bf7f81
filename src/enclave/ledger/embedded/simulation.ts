import {
  type ChaincodeDefinition,
  type Creator,
  compositeKey,
  type RecordName,
  type RecordType,
} from "../../ercc/registry-state.ts";
import { EnclaveError } from "../../errors.ts";
import type { CommittedState } from "../committed-state.ts";
import { definitionKeys, lifecycleName, readDefinition } from "../definitions.ts";
import type { ReadProposal } from "../proposal.ts";
import type { ChaincodeStub } from "./chaincode.ts";
import type { ReadWriteSet } from "./read-write-set.ts";

/** Fabric ends the range of a partial composite key with the last code point there is. */
const lastCodePoint = "\u{10ffff}";

export interface SimulationInput {
  readonly proposal: ReadProposal;
  readonly signedProposal: Uint8Array;
  readonly creator: Creator;
  readonly channelHash: Uint8Array;
  readonly peerMspId: string;
  /** A view that stays as it is. */
  readonly state: CommittedState;
  readonly sets: ReadWriteSet;
  readonly runQuery: (chaincode: string, transaction: string, args: readonly string[]) => Promise<Uint8Array>;
}

/** One run of a chaincode at a peer: reads its snapshot, and notes what is read and written. */
export class Simulation implements ChaincodeStub, Disposable {
  readonly chaincodeId: string;
  readonly transaction: string;
  readonly args: readonly string[];
  readonly argBytes: readonly Uint8Array[];
  readonly channelId: string;
  readonly txId: string;
  readonly timestampMs: number;
  readonly creator: Creator;
  readonly peerMspId: string;
  readonly signedProposal: Uint8Array;
  readonly #input: SimulationInput;
  readonly #mayWrite: boolean;
  #isOpen = true;

  constructor(input: SimulationInput, mayWrite: boolean) {
    const { proposal } = input;
    const [name, ...args] = proposal.args.map((arg) => Buffer.from(arg).toString());
    this.chaincodeId = proposal.chaincode;
    this.transaction = name ?? "";
    this.args = args;
    this.argBytes = proposal.args.slice(1);
    this.channelId = proposal.channelId;
    this.txId = proposal.txId;
    this.timestampMs = proposal.timestampMs;
    this.creator = input.creator;
    this.peerMspId = input.peerMspId;
    this.signedProposal = input.signedProposal;
    this.#input = input;
    this.#mayWrite = mayWrite;
  }

  get(name: RecordName): Promise<Uint8Array | undefined> {
    return this.getState(recordKey(name));
  }

  put(name: RecordName, value: Uint8Array): Promise<void> {
    return this.putState(recordKey(name), value);
  }

  delete(name: RecordName): Promise<void> {
    return this.deleteState(recordKey(name));
  }

  async *scan(
    type: RecordType,
    attributes: readonly string[],
  ): AsyncIterable<{ readonly attributes: readonly string[]; readonly value: Uint8Array }> {
    const start = recordKey({ type, attributes });
    for await (const { key, value } of this.stateRange(start, `${start}${lastCodePoint}`))
      yield { attributes: key.split("\u0000").slice(2, -1), value };
  }

  async definition(chaincodeId: string): Promise<ChaincodeDefinition | undefined> {
    this.#requireOpen();
    return readDefinition(chaincodeId, (key) => this.#read(lifecycleName, key));
  }

  async channelHash(): Promise<Uint8Array> {
    return Uint8Array.from(this.#input.channelHash);
  }

  async getState(key: string): Promise<Uint8Array | undefined> {
    this.#requireOpen();
    requireKey(key);
    return this.#read(this.chaincodeId, key);
  }

  async putState(key: string, value: Uint8Array): Promise<void> {
    this.#requireWriting();
    requireKey(key);
    // Fabric has no difference between an empty value and none.
    if (value.length === 0) throw new TypeError("a value in the state would be empty");
    this.#input.sets.write(this.chaincodeId, key, value);
  }

  async deleteState(key: string): Promise<void> {
    this.#requireWriting();
    requireKey(key);
    this.#input.sets.write(this.chaincodeId, key, undefined);
  }

  async *stateRange(
    startKey: string,
    endKey: string,
  ): AsyncIterable<{ readonly key: string; readonly value: Uint8Array }> {
    this.#requireOpen();
    const noted = this.#input.sets.rangeQuery(this.chaincodeId, startKey, endKey);
    for (const { key, value, version } of this.#input.state.range(this.chaincodeId, startKey, endKey)) {
      this.#requireOpen();
      noted.reads.push({ key, version });
      // Should the reader stop here, this is how far the range was read.
      noted.endKey = key;
      yield { key, value };
    }
    noted.endKey = endKey;
    noted.isExhausted = true;
  }

  query(chaincode: string, transaction: string, args: readonly string[]): Promise<Uint8Array> {
    this.#requireOpen();
    return this.#input.runQuery(chaincode, transaction, args);
  }

  /** Notes, as Fabric's peers do, that the run rests on the chaincode's definition as it is. */
  noteDefinition(): void {
    this.#read(lifecycleName, definitionKeys(this.chaincodeId).sequence);
  }

  /** The run is over; what still holds the stub gets nothing more out of it. */
  [Symbol.dispose](): void {
    this.#isOpen = false;
  }

  #read(namespace: string, key: string): Uint8Array | undefined {
    const found = this.#input.state.get(namespace, key);
    this.#input.sets.read(namespace, key, found?.version);
    return found?.value;
  }

  #requireOpen(): void {
    if (!this.#isOpen) throw new Error("the transaction is over");
  }

  #requireWriting(): void {
    this.#requireOpen();
    if (!this.#mayWrite)
      throw new EnclaveError("POLICY_DENIED", `${this.chaincodeId} may not write while another chaincode asks it`);
  }
}

/** @throws EnclaveError MALFORMED: an attribute that would make it the key of another record */
function recordKey(name: RecordName): string {
  if (name.attributes.some((attribute) => attribute === "" || attribute.includes("\u0000")))
    throw new EnclaveError("MALFORMED", "a name within a record's key is empty or has a zero character");
  return compositeKey(name);
}

/** Protobuf text is UTF-8; what it cannot hold would come back as another key. */
function requireKey(key: string): void {
  if (key === "" || !key.isWellFormed()) throw new EnclaveError("MALFORMED", "a key of the state is empty or no text");
}
