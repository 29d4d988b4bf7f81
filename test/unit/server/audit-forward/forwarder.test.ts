import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import type { StoredRecord } from "../../../../src/custody/contract/audit.ts";
import { Backoff } from "../../../../src/server/audit-forward/backoff.ts";
import { Forwarder } from "../../../../src/server/audit-forward/forwarder.ts";
import { PositionFile } from "../../../../src/server/audit-forward/position-file.ts";
import { type ForwardTarget, RecordRefused } from "../../../../src/server/audit-forward/target.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { FakeFeed } from "./fake-feed.ts";

type Behaviour = "take" | "some" | "fail" | "refuse" | "take and lose";

/** A FAKE place that behaves as it is told, then takes everything. */
class FakeTarget implements ForwardTarget {
  readonly id = "0123456789abcdef";
  readonly label = "fake";
  onLost?: () => void;
  readonly received: number[] = [];
  readonly behaviours: Behaviour[] = [];

  async send(records: readonly StoredRecord[]): Promise<number> {
    const behaviour = this.behaviours.shift() ?? "take";
    if (behaviour === "fail") throw new Error("away");
    if (behaviour === "refuse") throw new RecordRefused("too large");
    const taken = behaviour === "some" ? records.slice(0, 1) : records;
    if (behaviour === "take and lose") setImmediate(() => this.onLost?.());
    else this.received.push(...taken.map(({ sequence }) => sequence));
    return taken.length;
  }

  close(): void {}
}

describe("the forwarding of audit records", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-forward-"));
  after(() => rmSync(folder, { recursive: true }));
  let made = 0;

  function setting(maxBacklogRecords = 1_000_000) {
    const dataDir = mkdtempSync(join(folder, `${made++}-`));
    const feed = new FakeFeed();
    const target = new FakeTarget();
    const counts = { sent: 0, failed: 0, skipped: 0 };
    const waits: number[] = [];
    const start = () =>
      Forwarder.start({
        feed,
        target,
        position: new PositionFile(dataDir, target.id),
        observer: {
          sent: (_, records) => {
            counts.sent += records;
          },
          failed: () => {
            counts.failed += 1;
          },
          skipped: (_, records) => {
            counts.skipped += records;
          },
        },
        log: () => {},
        maxBacklogRecords,
        random: () => 0.5,
        sleep: async (ms) => {
          waits.push(ms);
          await new Promise(setImmediate);
        },
      });
    return { dataDir, feed, target, counts, waits, start };
  }

  async function idle(forwarder: Forwarder): Promise<void> {
    for (let still = 0; still < 5; still = forwarder.lag === 0 ? still + 1 : 0) await new Promise(setImmediate);
  }

  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

  it("begins with the next record, tells the chain so, and goes on where it ended", async () => {
    const { feed, target, start } = setting();
    feed.append(10);
    const first = await start();
    await idle(first);
    feed.append(5);
    await idle(first);
    await first.close();
    feed.append(5);
    const second = await start();
    await idle(second);
    await second.close();
    assert.deepEqual(target.received, range(11, 21));
    assert.deepEqual(
      feed.notes.map(({ kind, sequence }) => [kind, sequence]),
      [["started", 10]],
    );
  });

  it("loses nothing while the place is away, and waits longer each time", async () => {
    const { feed, target, counts, waits, start } = setting();
    const forwarder = await start();
    target.behaviours.push(
      ..."fail "
        .repeat(12)
        .trim()
        .split(" ")
        .map(() => "fail" as const),
    );
    feed.append(1000);
    await idle(forwarder);
    await forwarder.close();
    assert.deepEqual(target.received, range(1, 1001));
    assert.equal(counts.failed, 12);
    assert.deepEqual(waits.slice(0, 3), [375, 750, 1500]);
    assert.equal(Math.max(...waits), 45_000);
  });

  it("puts on record what it gives up, before it does", async () => {
    const { feed, target, counts, start } = setting(100);
    const forwarder = await start();
    await idle(forwarder);
    target.behaviours.push("fail");
    feed.append(500);
    await idle(forwarder);
    await forwarder.close();
    const gap = feed.notes.find(({ kind }) => kind === "gap");
    assert.ok(gap?.from !== undefined);
    const missing = range(1, feed.sequence).filter((sequence) => !target.received.includes(sequence));
    assert.deepEqual(missing, range(gap.from, gap.sequence));
    assert.equal(counts.skipped, missing.length);
    assert.match(gap.reason ?? "", /more than 100/);
  });

  it("gives up one record that the place will never take, and puts that on record", async () => {
    const { feed, target, start } = setting();
    const forwarder = await start();
    await idle(forwarder);
    target.behaviours.push("refuse");
    feed.append(3);
    await idle(forwarder);
    await forwarder.close();
    const gaps = feed.notes.filter(({ kind }) => kind === "gap");
    assert.deepEqual(
      gaps.map(({ from, sequence, reason }) => [from, sequence, reason]),
      [[2, 2, "too large"]],
    );
    assert.deepEqual(target.received, [1, ...range(3, feed.sequence)]);
  });

  it("waits longer and longer before a place that refuses every record, whose gaps are records too", async () => {
    const { feed, target, waits, start } = setting();
    const forwarder = await start();
    await idle(forwarder);
    waits.length = 0;
    target.behaviours.push(...Array<Behaviour>(6).fill("refuse"));
    feed.append(1);
    await idle(forwarder);
    await forwarder.close();
    assert.deepEqual(
      waits.map((ms) => ms / 0.75),
      [500, 1000, 2000, 4000, 8000, 16_000],
    );
  });

  it("puts records on record that are missing from the store", async () => {
    const { feed, target, start } = setting();
    const forwarder = await start();
    await idle(forwarder);
    target.behaviours.push("fail");
    feed.append(5);
    feed.records.splice(1, 2);
    await idle(forwarder);
    await forwarder.close();
    const gap = feed.notes.find(({ kind }) => kind === "gap");
    assert.deepEqual([gap?.from, gap?.sequence, gap?.reason], [2, 3, "missing from the store"]);
  });

  it("sends what was lost with a connection once more, and only once", async () => {
    const { feed, target, start } = setting();
    const forwarder = await start();
    await idle(forwarder);
    target.behaviours.push("take and lose");
    feed.append(3);
    await idle(forwarder);
    target.onLost?.();
    target.onLost?.();
    await idle(forwarder);
    await forwarder.close();
    assert.deepEqual(target.received, range(1, 4));
  });

  for (const [name, content] of Object.entries({
    "is empty": "",
    "is no number": "x\n",
    "is beyond the chain": "999999\n",
    "is too long": "1".repeat(100),
  }))
    it(`sends again from where the state has it when the position's file ${name}`, async () => {
      const { dataDir, feed, target, start } = setting();
      await (await start()).close();
      feed.append(5);
      writeFileSync(join(dataDir, `audit-forward-${target.id}`), content);
      const forwarder = await start();
      await idle(forwarder);
      await forwarder.close();
      assert.deepEqual([...new Set(target.received)], range(1, feed.sequence));
    });

  it("does not begin anew when a connection is lost over which nothing was sent", async () => {
    const { feed, target, start } = setting();
    const first = await start();
    feed.append(10);
    await idle(first);
    await first.close();
    const second = await start();
    target.onLost?.();
    await idle(second);
    await second.close();
    assert.deepEqual(target.received, range(1, 11));
  });

  it("goes on when its position cannot be kept", async () => {
    const { dataDir, feed, target, start } = setting();
    const forwarder = await start();
    await idle(forwarder);
    rmSync(dataDir, { recursive: true });
    target.behaviours.push("take and lose");
    feed.append(5);
    await idle(forwarder);
    await forwarder.close();
    assert.deepEqual([...new Set(target.received)], range(1, 6));
  });

  it("keeps its position in a file of its owner", async () => {
    const { dataDir, start } = setting();
    await (await start()).close();
    const [name = ""] = readdirSync(dataDir);
    assert.equal(statSync(join(dataDir, name)).mode & 0o777, 0o600);
  });

  it("delivers every record at least once and in order, or has a gap on record for it, whatever happens", async () => {
    const behaviour = fc.constantFrom<Behaviour>("take", "some", "fail", "refuse", "take and lose");
    const step = fc.oneof(
      fc.record({ append: fc.integer({ min: 1, max: 300 }) }),
      fc.record({ behaviours: fc.array(behaviour, { maxLength: 5 }) }),
      fc.constant({ restart: true }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { feed, target, start } = setting(250);
        let forwarder = await start();
        for (const each of steps) {
          if ("append" in each) feed.append(each.append);
          if ("behaviours" in each) target.behaviours.push(...each.behaviours);
          if ("restart" in each) {
            await forwarder.close();
            forwarder = await start();
          }
          for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
        }
        await idle(forwarder);
        // What was lost behind a closed server's back is sent again when the place says so.
        target.onLost?.();
        await idle(forwarder);
        await forwarder.close();
        const gaps = feed.notes.filter(({ kind }) => kind === "gap");
        const inGap = (sequence: number) =>
          gaps.some(({ from = 0, sequence: to }) => from <= sequence && sequence <= to);
        const lost = range(1, feed.sequence).filter((each) => !target.received.includes(each) && !inGap(each));
        const told = steps.some((each) => "behaviours" in each && each.behaviours.includes("take and lose"));
        if (!told) assert.deepEqual(lost, []);
        const firsts = [...new Set(target.received)];
        if (!told)
          assert.deepEqual(
            firsts,
            firsts.toSorted((left, right) => left - right),
          );
      }),
      { seed, numRuns: scaled(400) },
    );
  });
});

describe("the waiting time between attempts", () => {
  it("doubles up to a minute, is shortened by up to half at random, and begins anew after a success", () => {
    const longest = new Backoff(() => 0);
    assert.deepEqual(
      Array.from({ length: 9 }, () => longest.next()),
      [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000],
    );
    longest.reset();
    assert.equal(longest.next(), 500);
    assert.equal(new Backoff(() => 0.999_999).next(), 250);
  });
});
