import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Backoff } from "../../../src/node/backoff.ts";

describe("pauses between starts", () => {
  it("double up to the longest, from half of it at least", () => {
    const least = new Backoff(1000, 6000, () => 0);
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => least.next()),
      [500, 1000, 2000, 3000, 3000],
    );
    const most = new Backoff(1000, 6000, () => 1 - Number.EPSILON);
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => most.next()),
      [1000, 2000, 4000, 6000, 6000],
    );
  });

  it("are not the same for two nodes", () => {
    const [one, other] = [new Backoff(3_600_000, 3_600_000), new Backoff(3_600_000, 3_600_000)];
    const pauses = (backoff: Backoff) => Array.from({ length: 8 }, () => backoff.next());
    assert.notDeepEqual(pauses(one), pauses(other));
  });

  it("begin anew after a reset", () => {
    const backoff = new Backoff(1000, 60_000, () => 0);
    backoff.next();
    backoff.next();
    backoff.reset();
    assert.equal(backoff.next(), 500);
  });

  it("are never over the longest, even when the first would be", () => {
    assert.equal(new Backoff(10_000, 2000, () => 0.999_999).next(), 2000);
  });
});
