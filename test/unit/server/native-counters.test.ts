import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Enrolment } from "../../../src/client/enroll.ts";
import { certificateOf, errorOf, type RunningKeyManager, rawRequest, startKeyManager } from "./running-key-manager.ts";

const stamp = "5a".repeat(32);
const first = { name: "votes", previous: null, next: { value: 3, stamp } };

describe("counters over the native door", () => {
  let running: RunningKeyManager;
  let node: Enrolment;
  before(async () => {
    running = await startKeyManager();
    node = await running.enrolled("node-1");
  });
  after(() => running[Symbol.asyncDispose]());

  const post = (path: string, body: unknown) =>
    rawRequest(running.url, node.caPem, { path, body: JSON.stringify(body), certificate: certificateOf(node) });

  const next = { value: 2, stamp };
  const malformed: readonly (readonly [string, unknown, string])[] = [
    ["no name", { previous: null, next }, "name"],
    ["a name with a capital", { name: "Votes", previous: null, next }, "name"],
    ["a name of 129 characters", { name: "v".repeat(129), previous: null, next }, "name"],
    ["a name with a line's end", { name: "votes\n", previous: null, next }, "name"],
    ["a node's name", { node: "node-2", name: "votes", previous: null, next }, "node"],
    ["no previous standing", { name: "votes", next }, "previous"],
    ["a previous standing without its stamp", { name: "votes", previous: { value: 1 }, next }, "previous.stamp"],
    ["the value 0", { name: "votes", previous: null, next: { value: 0, stamp } }, "next.value"],
    ["a value in text", { name: "votes", previous: null, next: { value: "2", stamp } }, "next.value"],
    ["a fraction", { name: "votes", previous: null, next: { value: 1.5, stamp } }, "next.value"],
    ["2^53", { name: "votes", previous: null, next: { value: 2 ** 53, stamp } }, "next.value"],
    [
      "a stamp in capitals",
      { name: "votes", previous: null, next: { value: 2, stamp: "AB".repeat(32) } },
      "next.stamp",
    ],
    ["a short stamp", { name: "votes", previous: null, next: { value: 2, stamp: "5a" } }, "next.stamp"],
    ["a time with it", { name: "votes", previous: null, next: { ...next, advancedAt: "now" } }, "next.advancedAt"],
    ["no next standing", { name: "votes", previous: null, next: null }, "next"],
  ];
  for (const [what, body, path] of malformed)
    it(`refuse ${what}, with the member's path`, async () => {
      const reply = await post("/v1/counters/advance", body);
      assert.equal(reply.status, 400);
      assert.equal(errorOf(reply).code, "INPUT_INVALID");
      assert.equal(errorOf(reply).path, path);
      assert.deepEqual(await running.admin.counters.list("node-1"), []);
    });

  it("refuse malformed reads, lists and resets", async () => {
    for (const [path, body, member] of [
      ["/v1/counters/read", {}, "name"],
      ["/v1/counters/read", { name: "votes", node: "node-2" }, "node"],
      ["/v1/counters/list", { node: "" }, "node"],
      ["/v1/counters/reset", { name: "votes" }, "node"],
      ["/v1/counters/reset", { node: "node-1" }, "name"],
    ] as const) {
      const reply = await post(path, body);
      assert.equal(reply.status, 400, path);
      assert.equal(errorOf(reply).path, member);
    }
  });

  it("answer a conflict with 409, which the client tells from a refusal and from silence", async () => {
    using client = running.clientOf(node);
    assert.equal(await client.readCounter("votes"), null);
    assert.deepEqual(await client.advanceCounter(first), first.next);
    assert.deepEqual(await client.advanceCounter(first), first.next);
    const { value, stamp: stands } = (await client.readCounter("votes")) ?? {};
    assert.deepEqual({ value, stamp: stands }, first.next);
    const behind = { name: "votes", previous: { value: 1, stamp }, next };
    await assert.rejects(client.advanceCounter(behind), {
      code: "CONFLICT",
      serverCode: "COUNTER_CONFLICT",
      status: 409,
      message: "counter votes, asked to go from 1 to 2, stands at 3: the node's state was put back, or it runs twice",
    });
    const other = { name: "votes", previous: null, next: { value: 3, stamp: "0".repeat(64) } };
    await assert.rejects(client.advanceCounter(other), {
      message: /asked to go from nothing to 3, stands at 3 under another stamp/,
    });
    const down = { name: "votes", previous: first.next, next: { value: 2, stamp } };
    await assert.rejects(client.advanceCounter(down), { message: /stands at 3 and only goes up/ });
    const unknown = { name: "other", previous: first.next, next: { value: 4, stamp } };
    await assert.rejects(client.advanceCounter(unknown), { message: /from 3 to 4, is not there/ });
  });

  it("give a notice of a conflict, once", async () => {
    const { records } = await running.admin.audit.search({ action: "strongroom:Notice", limit: 10 });
    assert.equal(records.length, 1);
    const { kind, principal, counter, stands, from, to } = records[0]?.detail ?? {};
    assert.deepEqual([kind, principal], ["counter-conflict", node.principal]);
    assert.deepEqual([counter, stands, from, to], ["votes", 3, 1, 2]);
  });

  it("are listed and reset by name, and refused to a node that is revoked", async () => {
    using client = running.clientOf(node);
    const [listed] = await running.admin.counters.list();
    assert.deepEqual([listed?.node, listed?.name, listed?.value], ["node-1", "votes", 3]);
    await running.admin.counters.reset("node-1", "votes");
    await assert.rejects(running.admin.counters.reset("node-1", "votes"), {
      code: "NOT_FOUND",
      serverCode: "COUNTER_NOT_FOUND",
    });
    await client.advanceCounter({ ...first, next: { value: 1, stamp } });
    await running.admin.nodes.revoke("node-1");
    await assert.rejects(client.readCounter("votes"), { code: "REFUSED" });
    await assert.rejects(client.advanceCounter(first), { code: "REFUSED" });
    assert.equal((await running.admin.counters.list("node-1"))[0]?.value, 1);
  });
});
