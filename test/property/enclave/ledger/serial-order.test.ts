import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { readBlock } from "../../../../src/enclave/ledger/block.ts";
import { compareKeys } from "../../../../src/enclave/ledger/committed-state.ts";
import type { EmbeddedLedger } from "../../../../src/enclave/ledger/embedded/embedded-ledger.ts";
import {
  ChannelHeaderSchema,
  EnvelopeSchema,
  PayloadSchema,
} from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { mspIds, TrialFolder, trialName } from "../../../unit/enclave/ledger/embedded/trial-ledger.ts";

const keys = ["a", "b", "ä", "\u{1f511}"];
interface Step {
  readonly transaction: string;
  readonly key: string;
  readonly value: number;
}

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ transaction: fc.constant("put"), key: fc.constantFrom(...keys), value: fc.nat(99) }),
  fc.record({ transaction: fc.constant("add"), key: fc.constantFrom(...keys), value: fc.nat(9) }),
  fc.record({ transaction: fc.constant("remove"), key: fc.constantFrom(...keys), value: fc.constant(0) }),
  fc.record({ transaction: fc.constant("putListed"), key: fc.constantFrom("x", "y"), value: fc.constant(0) }),
);

/** What a transaction answers when it is the only one, and what it does to the records. */
function runAlone(records: Map<string, string>, { transaction, key, value }: Step): string {
  switch (transaction) {
    case "put":
      records.set(key, String(value));
      return `put ${key}`;
    case "add":
      records.set(key, String(Number(records.get(key) ?? 0) + value));
      return records.get(key) ?? "";
    case "remove":
      records.delete(key);
      return "";
    default:
      return String(records.size);
  }
}

describe("transactions that come at once", () => {
  let folder: TrialFolder;
  let ledger: EmbeddedLedger;
  before(async () => {
    folder = new TrialFolder();
    ledger = await folder.create();
  });
  after(async () => {
    await ledger[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  it("answer and write as if they had come one after the other in the order of the blocks, without those in conflict", async () => {
    const connections = await Promise.all(mspIds.map((mspId) => ledger.connect(ledger.identity(mspId, "client"))));
    const records = new Map<string, string>();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
        const store = ledger.peer("Org1MSP").store;
        const before = store.height;
        const outcomes = await Promise.allSettled(
          steps.map(({ transaction, key, value }, index) => {
            const connection = connections[index % connections.length] ?? assert.fail();
            return connection.submit(trialName, transaction, [key, String(value)]);
          }),
        );
        const done = new Map<string, () => void>();
        for (const [index, outcome] of outcomes.entries()) {
          const one = steps[index] ?? assert.fail();
          if (outcome.status === "rejected") assert.equal(outcome.reason.code, "CONFLICT");
          else
            done.set(outcome.value.txId, () =>
              assert.equal(outcome.value.result.toString(), runAlone(records, one), JSON.stringify(one)),
            );
        }
        let replayed = 0;
        for (let number = before; number < store.height; number++)
          for (const envelope of readBlock(store.block(number) ?? assert.fail()).envelopes) {
            const replay = done.get(txIdIn(envelope));
            replay?.();
            replayed += replay === undefined ? 0 : 1;
          }
        assert.equal(replayed, done.size);
        assert.ok(done.size > 0, "nobody won");
        const expected = [...records].sort(([left], [right]) => compareKeys(left, right));
        const text = expected.map(([key, value]) => `${key}=${value}`).join(" ");
        for (const connection of connections)
          assert.equal((await connection.evaluate(trialName, "list", [])).toString(), text);
      }),
      // What is written stays, so a failure cannot be made smaller by trying again.
      { seed, numRuns: scaled(200), endOnFailure: true },
    );
  });
});

function txIdIn(envelope: Uint8Array): string {
  const { header } = fromBinary(PayloadSchema, fromBinary(EnvelopeSchema, envelope).payload);
  return fromBinary(ChannelHeaderSchema, header?.channelHeader ?? new Uint8Array()).txId;
}
