import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RequestGate } from "../../../../src/database/proxy/request-gate.ts";

describe("the gate that requests pass", () => {
  it("lets them through while it is open", async () => {
    const gate = new RequestGate(1);
    let ran = 0;
    const work = async () => {
      ran += 1;
    };
    assert.ok(await gate.pass(work));
    assert.equal(ran, 1);
  });

  it("lets them wait while it is shut, and run when it opens", async () => {
    const gate = new RequestGate(60_000);
    await gate.shut(0);
    let ran = false;
    const passed = gate.pass(async () => {
      ran = true;
    });
    await new Promise((resume) => setImmediate(resume));
    assert.ok(!ran);
    gate.open();
    assert.ok(await passed);
    assert.ok(ran);
  });

  it("sends those away that waited too long, without running them", async () => {
    const gate = new RequestGate(1);
    await gate.shut(0);
    assert.equal(await gate.pass(async () => assert.fail("it ran")), false);
  });

  it("is shut once those that run are done, or when the patience for them ends", async () => {
    const gate = new RequestGate(1);
    const { promise, resolve } = Promise.withResolvers<void>();
    const running = gate.pass(() => promise);
    await gate.shut(1);
    const shut = gate.shut(60_000);
    resolve();
    await Promise.all([shut, running]);
  });

  it("passes on what a request fails with, and counts it as done", async () => {
    const gate = new RequestGate(1);
    await assert.rejects(
      gate.pass(async () => Promise.reject(new Error("broken"))),
      /broken/,
    );
    await gate.shut(60_000);
  });

  it("keeps those waiting when it is shut anew right after it was opened", async () => {
    const gate = new RequestGate(50);
    await gate.shut(0);
    const passed = gate.pass(async () => assert.fail("it ran"));
    gate.open();
    await gate.shut(0);
    assert.equal(await passed, false);
  });
});
