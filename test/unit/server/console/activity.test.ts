import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AuditRecord } from "../../../../src/custody/service.ts";
import { Activity, bucketCount, bucketSeconds } from "../../../../src/server/console/activity.ts";

const record = (action: string, result: AuditRecord["result"], detail: AuditRecord["detail"] = {}): AuditRecord => ({
  sequence: 1,
  eventId: "",
  at: "2026-01-01T00:00:00.000Z",
  door: "native",
  principal: "arn:aws:iam::123456789012:node/a",
  accessKeyId: null,
  peer: "127.0.0.1",
  userAgent: null,
  action,
  key: null,
  context: null,
  result,
  error: null,
  requestId: "r",
  detail,
});

describe("the console's live counts", () => {
  const beginMs = 1_800_000_000_000;

  it("count unwraps that were done, refusals of every kind, and refusals that come summed up", () => {
    const activity = new Activity(() => beginMs);
    activity.count([
      record("kms:Decrypt", "done"),
      record("kms:Decrypt", "refused"),
      record("kms:Decrypt", "failed"),
      record("kms:Encrypt", "done"),
      record("strongroom:RevokeNode", "refused"),
      record("strongroom:Refusals", "done", { reason: "UNAUTHENTICATED", count: 7 }),
    ]);
    assert.deepEqual(activity.recent().at(-1), { at: beginMs / 1000, unwraps: 1, refusals: 9 });
  });

  it("keep a quarter of an hour, with zeros for quiet spans", () => {
    const clock = { nowMs: beginMs };
    const activity = new Activity(() => clock.nowMs);
    activity.count([record("kms:Decrypt", "done")]);
    clock.nowMs += 10 * bucketSeconds * 1000;
    const recent = activity.recent();
    assert.equal(recent.length, bucketCount);
    assert.deepEqual(
      recent.slice(-11).map((each) => each.unwraps),
      [1, ...Array<number>(10).fill(0)],
    );
    clock.nowMs += bucketCount * bucketSeconds * 1000;
    assert.ok(activity.recent().every((each) => each.unwraps === 0));
  });

  it("go on in the newest span when the clock is set back", () => {
    const clock = { nowMs: beginMs };
    const activity = new Activity(() => clock.nowMs);
    activity.count([record("kms:Decrypt", "done")]);
    clock.nowMs -= 3_600_000;
    activity.count([record("kms:Decrypt", "done")]);
    assert.equal(activity.recent().at(-1)?.unwraps, 2);
  });
});
