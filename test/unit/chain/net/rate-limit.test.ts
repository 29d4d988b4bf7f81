import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RateLimit } from "../../../../src/chain/net/rate-limit.ts";

describe("a rate limit", () => {
  it("allows its burst at once, and no more", () => {
    const limit = new RateLimit({ perSecond: 10, burst: 3 }, 0);
    assert.deepEqual([limit.take(2, 0), limit.take(1, 0), limit.take(1, 0)], [true, true, false]);
  });

  it("fills up steadily, to its burst only", () => {
    const limit = new RateLimit({ perSecond: 10, burst: 3 }, 0);
    limit.take(3, 0);
    assert.equal(limit.take(1, 90), false);
    assert.equal(limit.take(1, 110), true);
    assert.equal(limit.take(4, 60_000), false);
    assert.equal(limit.take(3, 60_000), true);
  });

  it("gives nothing for a clock that goes back", () => {
    const limit = new RateLimit({ perSecond: 1000, burst: 1 }, 5000);
    limit.take(1, 5000);
    assert.equal(limit.take(1, 1000), false);
    assert.equal(limit.take(1, 5000), false);
  });

  it("of nothing is refused", () => {
    assert.throws(() => new RateLimit({ perSecond: 0, burst: 1 }, 0), RangeError);
    assert.throws(() => new RateLimit({ perSecond: 1, burst: Number.NaN }, 0), RangeError);
  });
});
