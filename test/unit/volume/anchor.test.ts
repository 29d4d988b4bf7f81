import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { anchorName, type CounterClient, counterAnchor, type VolumeHead } from "../../../src/volume/anchor.ts";

type Standing = { readonly value: number; readonly stamp: string };

/** A fake key manager's counters: compare and set, as the real one decides. */
class FakeCounters {
  readonly counters = new Map<string, Standing>();
  advances = 0;
  beforeAdvance = (): void => {};

  readCounter(name: string): Promise<Standing | null> {
    return Promise.resolve(this.counters.get(name) ?? null);
  }

  async advanceCounter(input: { name: string; previous: Standing | null; next: Standing }): Promise<Standing> {
    this.beforeAdvance();
    const { name, previous, next } = input;
    const stands = this.counters.get(name) ?? null;
    const same = (a: Standing | null, b: Standing | null) => a?.value === b?.value && a?.stamp === b?.stamp;
    if (!same(stands, previous) || (previous !== null && next.value <= previous.value))
      throw Object.assign(new Error("conflict"), { serverCode: "COUNTER_CONFLICT" });
    this.advances += 1;
    this.counters.set(name, next);
    return next;
  }
}

const volume = "01234567-89ab-4cde-8f01-23456789abcd";
const head = (sequence: number, link = sequence): VolumeHead => ({ sequence, link: Buffer.alloc(16, link) });
const rolledBack = { code: "VOLUME_ROLLED_BACK" };

describe("a volume's anchor at the key manager", () => {
  it("is begun by the first advance, and lets the same state and newer ones pass", async () => {
    const counters = new FakeCounters();
    const anchor = counterAnchor(async () => counters);
    await anchor.check(volume, head(5));
    await anchor.advance(volume, head(5));
    await anchor.check(volume, head(5));
    await anchor.check(volume, head(9));
    assert.equal(counters.counters.get(anchorName(volume))?.value, 5);
  });

  it("does nothing more when it is asked again", async () => {
    const counters = new FakeCounters();
    const anchor = counterAnchor(async () => counters);
    for (let i = 0; i < 3; i++) await anchor.advance(volume, head(5));
    assert.equal(counters.advances, 1);
  });

  it("refuses an older state, to be opened and to be kept", async () => {
    const counters = new FakeCounters();
    const anchor = counterAnchor(async () => counters);
    await anchor.advance(volume, head(5));
    await assert.rejects(anchor.check(volume, head(4)), rolledBack);
    await assert.rejects(anchor.advance(volume, head(4)), rolledBack);
    assert.equal(counters.counters.get(anchorName(volume))?.value, 5);
  });

  it("refuses a copy that was used apart, though it is as far", async () => {
    const anchor = counterAnchor(async () => counters);
    const counters = new FakeCounters();
    await anchor.advance(volume, head(5, 1));
    await assert.rejects(anchor.check(volume, head(5, 2)), rolledBack);
    await assert.rejects(anchor.advance(volume, head(5, 2)), rolledBack);
  });

  it("refuses when another copy comes between", async () => {
    const counters = new FakeCounters();
    const anchor = counterAnchor(async () => counters);
    await anchor.advance(volume, head(5));
    counters.beforeAdvance = () => {
      counters.counters.set(anchorName(volume), { value: 6, stamp: "f".repeat(64) });
    };
    await assert.rejects(anchor.advance(volume, head(6)), rolledBack);
  });

  it("keeps volumes apart", async () => {
    const counters = new FakeCounters();
    const anchor = counterAnchor(async () => counters);
    await anchor.advance(volume, head(5));
    await anchor.check("f1234567-89ab-4cde-8f01-23456789abcd", head(1));
    const stamps = new Set<string>();
    for (const id of [volume, "f1234567-89ab-4cde-8f01-23456789abcd"]) {
      await anchor.advance(id, head(7));
      stamps.add(counters.counters.get(anchorName(id))?.stamp ?? "");
    }
    assert.equal(stamps.size, 2);
  });

  it("names its counter as a key manager takes names, and its stamp in hex", async () => {
    const counters = new FakeCounters();
    await counterAnchor(async () => counters).advance(volume, head(5));
    for (const [name, { stamp }] of counters.counters) {
      assert.match(name, /^[a-z0-9][a-z0-9._:/-]{0,127}$/);
      assert.match(stamp, /^[0-9a-f]{64}$/);
    }
  });

  it("is refused where the key manager has no counters, and passes on that nobody answers", async () => {
    const none: CounterClient = {};
    await assert.rejects(counterAnchor(async () => none).check(volume, head(1)), { code: "VOLUME_UNSUPPORTED" });
    const away = counterAnchor(() => Promise.reject(new Error("nobody answers")));
    await assert.rejects(away.check(volume, head(1)), /nobody answers/);
  });
});
