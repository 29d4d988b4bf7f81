import assert from "node:assert/strict";
import { compositeKey, recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import type { EvidenceJudge } from "../../../../src/enclave/evidence/judge.ts";
import { definitionRecords, lifecycleName } from "../../../../src/enclave/ledger/definitions.ts";
import { policyOf } from "../../../../src/enclave/ledger/signature-policy.ts";
import { ChannelFollower } from "../../../../src/enclave/ledger-enclave/follower.ts";
import { type LayeredTransaction, layeredTransaction, type NamespaceInit } from "./layered-transaction.ts";
import { mspIds, type Signer, TestChannel } from "./test-channel.ts";

/*
 * What Fabric's peers take and what they refuse, where a follower that is stricter or laxer would part from them. The codes are Fabric's own, read in
 * its sources (core/common/validation, core/committer/txvalidator/v20, core/common/validation/statebased, kvledger's validation).
 */
export const channel = await TestChannel.create();
const member = (of: readonly Signer[], index: number) => of[index] ?? assert.fail();
export const [peer1, peer2, peer3] = [0, 1, 2].map((index) => member(channel.peers, index)) as [Signer, Signer, Signer];
export const [client1, client2] = [0, 1].map((index) => member(channel.clients, index)) as [Signer, Signer];
const noJudge: EvidenceJudge = { judge: () => Promise.reject(new TypeError("a fake judge that nobody asks")) };
export const key = compositeKey({ type: recordTypes.chaincodeEk, attributes: ["auction"] });
export const value = Buffer.from("a chaincode's key");
export const kv = "kv";
export const valid = 0;
export const refused = 255;

export const records = (name: string, count: number, of: readonly string[] = mspIds) =>
  definitionRecords(name, { version: "1", sequence: 1n, validationParameter: policyOf(count, [...of]) }).map(
    (record) => ({ ...record }),
  );
const definitions = [...records(channel.erccName, 2), ...records(kv, 1, ["Org1MSP"])];

export type Input = Partial<LayeredTransaction>;
type SetInit = NonNullable<NamespaceInit["set"]>;
export const transaction = (input: Input = {}) =>
  layeredTransaction({
    channelId: channel.channelId,
    chaincode: channel.erccName,
    creator: client1,
    endorsers: [peer1, peer2],
    sets: [{ namespace: channel.erccName, set: { writes: [{ key, value }] } }],
    ...input,
  });
/** A transaction of another chaincode, for whose names one organisation's peer suffices. */
export const foreign = (set: SetInit, input: Input = {}) =>
  transaction({ chaincode: kv, endorsers: [peer1], sets: [{ namespace: kv, set }], ...input });

/** A follower of a channel on which the registry and another chaincode are defined. */
export class Followed {
  readonly follower = new ChannelFollower(channel.genesisBlock, { erccName: channel.erccName, judge: noJudge });
  #last: Buffer = channel.genesisBlock;

  constructor() {
    this.take([
      [
        transaction({ chaincode: lifecycleName, sets: [{ namespace: lifecycleName, set: { writes: definitions } }] }),
        valid,
      ],
    ]);
  }

  /** The next block, with the peers' codes beside it. */
  take(judged: readonly (readonly [envelope: Uint8Array, code: number])[]): void {
    const number = this.follower.blockNumber + 1n;
    const envelopes = judged.map(([envelope]) => envelope);
    this.#last = channel.block(number, this.#last, envelopes, { codes: judged.map(([, code]) => code) });
    this.follower.append(this.#last);
  }

  get value(): string | undefined {
    return this.follower.value(key)?.toString();
  }

  knows(name: string): boolean {
    try {
      this.follower.hash(name, "a");
      return true;
    } catch (error) {
      assert.equal((error as { code?: string }).code, "LEDGER_UNAVAILABLE");
      return false;
    }
  }
}

let shared: Followed | undefined;

/** That a transaction, which writes {@link value} if it is valid, is judged as Fabric's peers judge it, and that the follower goes on. */
export function assertJudged(envelope: Uint8Array, code: number, what: string): void {
  const followed = shared ?? new Followed();
  // Of one that has stopped nothing more is learned.
  shared = undefined;
  try {
    const before = followed.value;
    followed.take([[envelope, code]]);
    assert.equal(followed.value, code === valid ? value.toString() : before, what);
    const next = Buffer.from(`after ${what}`);
    followed.take([
      [transaction({ sets: [{ namespace: channel.erccName, set: { writes: [{ key, value: next }] } }] }), valid],
    ]);
    assert.equal(followed.value, next.toString(), what);
    shared = followed;
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
