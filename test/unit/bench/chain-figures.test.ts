import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { blockFigures } from "../../../bench/chain/blocks.ts";
import { readLog } from "../../../bench/chain/node-log.ts";

describe("the rates of a chain's blocks", () => {
  const steady = Array.from({ length: 21 }, (_, index) => ({
    height: index + 1,
    timestampMs: 1000 * index,
    transactions: 200,
  }));

  it("count what came between two blocks over the time between them", () => {
    const figures = blockFigures(steady, 0, 20_000);
    assert.deepEqual(figures, {
      blocks: 21,
      meanBlockMs: 1000,
      longestBlockMs: 1000,
      perSecond: 200,
      leastPerSecond: 200,
    });
  });

  it("show a stretch that is slower than the whole", () => {
    const slower = steady.map((block, index) => ({ ...block, transactions: index > 10 ? 100 : 300 }));
    const { perSecond, leastPerSecond } = blockFigures(slower, 0, 20_000);
    assert.deepEqual([perSecond, leastPerSecond], [200, 100]);
  });

  it("show blocks that stay away, and leave out those after the load", () => {
    const halting = steady.filter(({ height }) => height < 5 || height > 15);
    assert.equal(blockFigures(halting, 0, 20_000).longestBlockMs, 12_000);
    assert.ok((blockFigures(halting, 0, 20_000).leastPerSecond ?? 200) < 100);
    assert.equal(blockFigures(steady, 0, 5000).blocks, 6);
    assert.equal(blockFigures(steady, 0, 5000).leastPerSecond, undefined);
  });

  it("are 0 without blocks", () => {
    assert.equal(blockFigures([], 0, 1000).perSecond, 0);
    assert.equal(blockFigures(steady.slice(0, 1), 0, 1000).perSecond, 0);
  });
});

describe("what a node's log says of a run", () => {
  const heartbeat = { everyMs: 10_000, lateMs: 1000 };
  const at = (text: string) => Date.parse(`2026-05-04T${text}`);
  const line = (time: string, message: string, level = "info") => `${level}|2026-05-04 ${time}|${message}\n`;
  const beat = (time: string, count: number) =>
    line(time, `[P2PService][Service][METRIC]heartBeat,connected count=${count}`);
  const started = line("12:00:00.000000", "[NODE]started,number=0,p2p=30300,rpc=20200");
  const read = (log: string, ended = "12:00:25") => readLog(log, at("12:00:05"), at(ended), heartbeat);

  it("counts heartbeats, and the time without one up to the end", () => {
    const log = started + beat("12:00:10.000000", 3) + beat("12:00:20.500000", 3);
    const figures = read(log);
    assert.deepEqual([figures.heartbeats, figures.expected], [2, 2]);
    assert.deepEqual([figures.longestGapMs, figures.leastConnected], [10_500, 3]);
    assert.equal(read(log, "12:00:45").longestGapMs, 24_500);
    assert.equal(read(log, "12:00:45").expected, 4);
  });

  it("sees a missed one, a lost peer, a view change and a warning", () => {
    const log =
      started +
      beat("12:00:10.000000", 2) +
      line("12:00:12.000000", "[CONSENSUS][PBFT]enterView,height=4,view=1") +
      line("12:00:13.000000", "[P2PService][Service]disconnected,sealer=2: closed", "warning");
    const { heartbeats, expected, leastConnected, viewChanges, warnings } = read(log);
    assert.deepEqual([heartbeats, expected, leastConnected, viewChanges], [1, 2, 2, 1]);
    assert.equal(warnings.length, 1);
  });

  it("leaves out lines from before the load and after it", () => {
    const log =
      line("12:00:00.000000", "[STORAGE]storage_security is off", "warning") +
      started +
      beat("12:00:04.000000", 1) +
      beat("12:00:14.000000", 3) +
      beat("12:00:26.000000", 0);
    assert.deepEqual([read(log).leastConnected, read(log).heartbeats, read(log).warnings.length], [3, 2, 0]);
    assert.equal(read(started).leastConnected, undefined);
  });
});
