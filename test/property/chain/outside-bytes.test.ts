import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeGuardRecord, encodeGuardRecord } from "../../../src/chain/consensus/guard-record.ts";
import { decodeMessage, encodeMessage } from "../../../src/chain/consensus/message-encoding.ts";
import type { Message } from "../../../src/chain/consensus/messages.ts";
import { decodeFinalBlock, encodeFinalBlock } from "../../../src/chain/ledger/block.ts";
import { LedgerError } from "../../../src/chain/ledger/errors.ts";
import { decodeReceipt, encodeReceipt } from "../../../src/chain/ledger/receipt.ts";
import { decodeTransaction } from "../../../src/chain/ledger/transaction.ts";
import { scaled, seed } from "../../run-settings.ts";
import { numberedSet } from "../../simulation/transactions.ts";
import {
  block,
  chain,
  changing,
  final,
  four,
  prepared,
  proposal,
  ReplicaUnderTest,
  viewChange,
  vote,
} from "../../unit/chain/consensus/replica-under-test.ts";

const runs = { seed, numRuns: scaled(4000) };
const one = block(1, 1, 2);
const transaction = decodeTransaction(chain.suite, numberedSet(four, 1));

const messages: readonly Message[] = [
  proposal(one),
  proposal(one, 1, [viewChange(0, 1), viewChange(1, 1, prepared(one, 0)), viewChange(3, 1)]),
  vote(0, "prepare", one.hash),
  vote(3, "commit", one.hash),
  changing(0, 2),
  changing(1, 1, prepared(one, 0)),
  { kind: "status", height: 3 },
  { kind: "block-request", fromHeight: 1, count: 3 },
  { kind: "blocks", blocks: [final(one)] },
  { kind: "transactions", transactions: [transaction] },
];

interface Format {
  readonly name: string;
  readonly good: readonly Buffer[];
  /** Decodes, and encodes what it got. */
  again(bytes: Buffer): Buffer;
}

const formats: readonly Format[] = [
  { name: "messages", good: messages.map(encodeMessage), again: (bytes) => encodeMessage(decodeMessage(chain, bytes)) },
  {
    name: "blocks",
    good: [encodeFinalBlock(final(one))],
    again: (bytes) => encodeFinalBlock(decodeFinalBlock(chain.suite, bytes)),
  },
  {
    name: "transactions",
    good: [transaction.encoded],
    again: (bytes) => decodeTransaction(chain.suite, bytes).encoded,
  },
  {
    name: "receipts",
    good: [encodeReceipt({ transactionHash: one.hash, height: 1, index: 0, status: 0, output: Buffer.from("x") })],
    again: (bytes) => encodeReceipt(decodeReceipt(bytes)),
  },
  {
    name: "guard records",
    good: [encodeGuardRecord({ height: 1, view: 0, phase: "prepare", digest: one.hash })],
    again: (bytes) => encodeGuardRecord(decodeGuardRecord(bytes)),
  },
];

/** Turned bits, cut ends, repeated and inserted parts of a good encoding. */
function spoiled(good: readonly Buffer[]): fc.Arbitrary<Buffer> {
  return fc
    .record({
      base: fc.constantFrom(...good),
      turns: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
      cut: fc.option(fc.nat()),
      insert: fc.option(fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 9 }))),
    })
    .map(({ base, turns, cut, insert }) => {
      let bytes = Buffer.from(base);
      for (const [at, byte] of turns) bytes[at % bytes.length] = byte;
      if (cut !== null) bytes = bytes.subarray(0, cut % (bytes.length + 1));
      if (insert !== null) {
        const at = insert[0] % (bytes.length + 1);
        bytes = Buffer.concat([bytes.subarray(0, at), insert[1], bytes.subarray(at)]);
      }
      return bytes;
    });
}

for (const { name, good, again } of formats)
  describe(`the reader of ${name}`, () => {
    it("reads what was written, and gives the same bytes back", () => {
      for (const bytes of good) assert.deepEqual(again(bytes), bytes);
    });

    it("answers any bytes with a value that has those bytes only, or with a LedgerError", () => {
      const anything = fc.oneof(
        fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
        spoiled(good),
      );
      fc.assert(
        fc.property(anything, (bytes) => {
          try {
            assert.deepEqual(again(bytes), bytes);
          } catch (error) {
            assert.ok(error instanceof LedgerError, String((error as Error).stack));
          }
        }),
        runs,
      );
    });
  });

it("a replica takes any frames from any peers without failing, and signs no slot twice", () => {
  const frames = fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), spoiled(messages.map(encodeMessage))), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(frames, fc.integer({ min: 0, max: 3 }), (sequence, self) => {
      const replica = new ReplicaUnderTest(self);
      for (const [from, bytes] of sequence) replica.give({ kind: "message", from, bytes });
      const slots = replica.of("guard").map(({ record }) => `${record.height} ${record.view} ${record.phase}`);
      assert.equal(new Set(slots).size, slots.length);
      assert.deepEqual(
        replica
          .of("sign")
          .map(({ id }) => id)
          .filter((id, at, all) => all.indexOf(id) !== at),
        [],
      );
    }),
    { seed, numRuns: scaled(2000) },
  );
});
