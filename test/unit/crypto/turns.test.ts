import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { InTurn } from "../../../src/crypto/turns.ts";

describe("work in turn", () => {
  it("runs at most so many at once, in the order they came, also past one that fails", async () => {
    const turns = new InTurn(2);
    const begun: number[] = [];
    let running = 0;
    let most = 0;
    const work = (number: number) =>
      turns.run(async () => {
        begun.push(number);
        running += 1;
        most = Math.max(most, running);
        await nextTurn();
        running -= 1;
        if (number === 3) throw new Error("the third fails");
        return number;
      });
    const results = await Promise.allSettled([1, 2, 3, 4, 5, 6].map(work));
    assert.deepEqual(begun, [1, 2, 3, 4, 5, 6]);
    assert.equal(most, 2);
    assert.deepEqual(
      results.map((each) => (each.status === "fulfilled" ? each.value : "failed")),
      [1, 2, "failed", 4, 5, 6],
    );
    assert.equal(await work(7), 7);
  });

  it("is refused, and not kept, where as many wait as may", async () => {
    const turns = new InTurn(1, 2);
    const end = Promise.withResolvers<string>();
    const begun = [1, 2, 3].map(() => turns.run(() => end.promise));
    await assert.rejects(
      turns.run(() => end.promise),
      { code: "BUSY" },
    );
    end.resolve("done");
    assert.deepEqual(await Promise.all(begun), ["done", "done", "done"]);
    assert.equal(await turns.run(() => Promise.resolve("again")), "again");
  });
});
