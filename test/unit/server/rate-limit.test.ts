import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { peerNetwork, RateLimit } from "../../../src/server/rate-limit.ts";

describe("a rate limit", () => {
  it("lets a burst pass and then as many as the rate gives", () => {
    let nowMs = 0;
    const limit = new RateLimit({ perSecond: 2, burst: 3, nowMs: () => nowMs });
    const taken = () => limit.take("a");
    assert.deepEqual([taken(), taken(), taken(), taken()], [true, true, true, false]);
    nowMs = 499;
    assert.equal(taken(), false);
    nowMs = 500;
    assert.deepEqual([taken(), taken()], [true, false]);
    nowMs = 1_000_000;
    assert.deepEqual([taken(), taken(), taken(), taken()], [true, true, true, false]);
  });

  it("counts each caller by itself", () => {
    const limit = new RateLimit({ perSecond: 1, burst: 1, nowMs: () => 0 });
    assert.deepEqual([limit.take("a"), limit.take("a"), limit.take("b"), limit.take("b")], [true, false, true, false]);
  });

  it("gives nothing for a clock that goes back", () => {
    let nowMs = 10_000;
    const limit = new RateLimit({ perSecond: 1, burst: 1, nowMs: () => nowMs });
    assert.equal(limit.take("a"), true);
    nowMs = 0;
    assert.equal(limit.take("a"), false);
    nowMs = 999;
    assert.equal(limit.take("a"), false);
  });

  it("is not filled up by refusals that come faster than the rate", () => {
    let nowMs = 0;
    const limit = new RateLimit({ perSecond: 1, burst: 1, nowMs: () => nowMs });
    const taken: number[] = [];
    for (; nowMs <= 5000; nowMs += 100) if (limit.take("a")) taken.push(nowMs);
    assert.ok(taken.length === 5 || taken.length === 6, `${taken}`);
  });

  it("remembers no more callers than it may, and forgets the one unseen for longest", () => {
    const limit = new RateLimit({ perSecond: 0.001, burst: 1, maxCallers: 3, nowMs: () => 0 });
    for (const caller of ["a", "b", "c"]) assert.equal(limit.take(caller), true);
    assert.equal(limit.take("a"), false);
    assert.equal(limit.take("d"), true);
    assert.equal(limit.size, 3);
    assert.deepEqual([limit.take("a"), limit.take("c")], [false, false]);
    assert.equal(limit.take("b"), true);
  });

  it("refuses limits that say nothing", () => {
    for (const wrong of [
      { perSecond: 0, burst: 1 },
      { perSecond: 1, burst: 0 },
      { perSecond: Number.NaN, burst: 1 },
    ])
      assert.throws(() => new RateLimit(wrong), RangeError);
    assert.throws(() => new RateLimit({ perSecond: 1, burst: 1, maxCallers: 0 }), RangeError);
  });
});

describe("the network of a peer", () => {
  it("is an IPv4 address itself, and 64 bits of an IPv6 address", () => {
    assert.equal(peerNetwork("10.0.0.1"), "10.0.0.1");
    assert.equal(peerNetwork("2001:db8:0:1::5"), peerNetwork("2001:db8:0:1:ffff::"));
    assert.notEqual(peerNetwork("2001:db8:0:1::5"), peerNetwork("2001:db8:0:2::5"));
  });
});
