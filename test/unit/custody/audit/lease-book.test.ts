import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LeaseBook } from "../../../../src/custody/audit/lease-book.ts";
import { RecordEncoder } from "../../../../src/custody/audit/record-text.ts";
import type { AuditRecord } from "../../../../src/custody/service.ts";
import { scaled, seed } from "../../../run-settings.ts";

const nowMs = Date.parse("2026-11-21T12:00:00Z");
const launches = ["a", "b"].map((digit) => `${digit.repeat(8)}-0000-4000-8000-000000000000`);

function record(sequence: number, more: Partial<AuditRecord>): AuditRecord {
  return {
    sequence,
    eventId: "",
    at: new Date(nowMs - (100 - sequence) * 1000).toISOString(),
    door: "native",
    principal: "arn:aws:iam::123456789012:node/node-1",
    accessKeyId: null,
    peer: "127.0.0.1",
    userAgent: null,
    action: "kms:Decrypt",
    key: "00000000-0000-4000-8000-000000000001",
    context: null,
    result: "done",
    error: null,
    requestId: "r",
    detail: {},
    ...more,
  };
}

const events = fc.array(
  fc.record({
    action: fc.constantFrom(
      "kms:Decrypt",
      "kms:Decrypt",
      "strongroom:ReleaseLease",
      "strongroom:Authenticate",
      "kms:Sign",
    ),
    result: fc.constantFrom("done" as const, "refused" as const, "failed" as const),
    principal: fc.constantFrom("arn:aws:iam::123456789012:node/node-1", "arn:aws:iam::123456789012:user/node-1"),
    detail: fc.constantFrom<AuditRecord["detail"]>(
      {},
      ...launches.flatMap((launch) => [{ launch }, { launch, leaseSeconds: 10 }]),
      { leaseSeconds: 10 },
    ),
  }),
  { maxLength: 20 },
);

describe("the book of leases", () => {
  it("says the same whatever the order in which the records came in", () => {
    fc.assert(
      fc.property(
        events.chain((all) => {
          const records = all.map((each, index) => record(index + 1, each));
          return fc.tuple(fc.constant(records), fc.shuffledSubarray(records, { minLength: records.length }));
        }),
        ([inOrder, shuffled]) => {
          const [one, other] = [new LeaseBook(), new LeaseBook()];
          for (const each of inOrder) one.take(each);
          for (const each of shuffled) other.take(each);
          assert.deepEqual(other.of("node-1", nowMs), one.of("node-1", nowMs));
        },
      ),
      { seed, numRuns: scaled(300) },
    );
  });

  it("passes over no stored record that it would learn from", () => {
    const encoder = new RecordEncoder({ account: "123456789012", region: "local" });
    fc.assert(
      fc.property(events, (all) => {
        const [whole, looked] = [new LeaseBook(), new LeaseBook()];
        for (const [index, each] of all.entries()) {
          const taken = record(index + 1, each);
          whole.take(taken);
          if (LeaseBook.mayConcern(encoder.encode(taken, 1))) looked.take(taken);
        }
        assert.deepEqual(looked.of("node-1", nowMs), whole.of("node-1", nowMs));
      }),
      { seed, numRuns: scaled(200) },
    );
  });

  it("learns nothing from users, from other actions, or from what failed without an answer", () => {
    const book = new LeaseBook();
    const lease = { launch: launches[0] ?? "", leaseSeconds: 10 };
    book.take(record(1, { principal: "arn:aws:iam::123456789012:user/node-1", detail: lease }));
    book.take(record(2, { action: "kms:Sign", detail: lease }));
    book.take(record(3, { result: "failed", detail: lease }));
    book.take(record(4, { action: "strongroom:ReleaseLease", detail: { launch: lease.launch } }));
    book.take(record(5, { result: "refused" }));
    assert.equal(book.of("node-1", nowMs), null);
    assert.equal(book.of("nobody", nowMs), null);
  });
});
