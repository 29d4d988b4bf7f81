import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { WriteGate } from "../../../src/level/write-gate.ts";

describe("the write gate", () => {
  it("runs a step only after every write under way has ended", async () => {
    const gate = new WriteGate();
    const order: string[] = [];
    gate.enter();
    gate.enter();
    const step = gate.alone(async () => {
      order.push("step");
    });
    await setImmediate();
    gate.leave();
    await setImmediate();
    order.push("last write");
    gate.leave();
    await step;
    assert.deepEqual(order, ["last write", "step"]);
  });

  it("is shut from the moment a step waits until it has settled", async () => {
    const gate = new WriteGate();
    assert.equal(gate.shut, undefined);
    gate.enter();
    const step = gate.alone(() => Promise.reject(new Error("the step failed")));
    assert.notEqual(gate.shut, undefined);
    gate.leave();
    await assert.rejects(step, /the step failed/);
    assert.equal(gate.shut, undefined);
  });

  it("never runs two steps at once", async () => {
    const gate = new WriteGate();
    let running = 0;
    const step = async () => {
      running += 1;
      assert.equal(running, 1);
      await setImmediate();
      running -= 1;
    };
    await Promise.all([gate.alone(step), gate.alone(step), gate.alone(step)]);
  });
});
