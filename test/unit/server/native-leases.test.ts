import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import type { Enrolment } from "../../../src/client/enroll.ts";
import { certificateOf, errorOf, type RunningKeyManager, rawRequest, startKeyManager } from "./running-key-manager.ts";

const context = { node: "node-1" };

describe("leases over the native door", () => {
  let running: RunningKeyManager;
  let node: Enrolment;
  let wrapped: Buffer;
  before(async () => {
    running = await startKeyManager();
    await running.admin.keys.create({ alias: "alias/nodes" });
    node = await running.enrolled("node-1", "alias/nodes");
    using client = running.clientOf(node);
    ({ wrapped } = await client.generateDataKey({ key: "alias/nodes", context }));
  });
  after(() => running[Symbol.asyncDispose]());

  const post = (path: string, body: unknown) =>
    rawRequest(running.url, node.caPem, { path, body: JSON.stringify(body), certificate: certificateOf(node) });

  it("are refused with unknown members, wrong types and out of bounds, with the member's path", async () => {
    const launch = randomUUID();
    for (const [lease, path] of [
      [{ seconds: 10, launch, node: "node-2" }, "lease.node"],
      [{ seconds: 10, launch, principal: "node/node-2" }, "lease.principal"],
      [{ seconds: "10", launch }, "lease.seconds"],
      [{ seconds: 0, launch }, "lease.seconds"],
      [{ seconds: 86_401, launch }, "lease.seconds"],
      [{ seconds: 1.5, launch }, "lease.seconds"],
      [{ seconds: 10 }, "lease.launch"],
      [{ seconds: 10, launch: "x".repeat(36) }, "lease.launch"],
      [{ seconds: 10, launch: launch.toUpperCase() }, "lease.launch"],
      [{ launch }, "lease.seconds"],
      [null, "lease"],
      ["10s", "lease"],
    ] as const) {
      const reply = await post("/v1/unwrap", { wrapped: wrapped.toString("base64"), context, lease });
      assert.equal(reply.status, 400, JSON.stringify(lease));
      assert.equal(errorOf(reply).path, path);
    }
    for (const [body, path] of [
      [{ launch, node: "node-2" }, "node"],
      [{ launch: 1 }, "launch"],
      [{}, "launch"],
    ] as const) {
      const reply = await post("/v1/release-lease", body);
      assert.equal(reply.status, 400);
      assert.equal(errorOf(reply).path, path);
    }
    assert.deepEqual((await running.admin.nodes.leases()).leases, []);
  });

  it("are held by the node whose certificate it is, ended by its word, and refused once it is revoked", async () => {
    const lease = { seconds: 10, launch: randomUUID() };
    using client = running.clientOf(node);
    const check = async () => (await client.unwrap({ wrapped, context, lease })).plaintext[Symbol.dispose]();
    const shown = async () => (await running.admin.nodes.leases()).leases.map((each) => [each.node, each.lease.state]);
    await check();
    assert.deepEqual(await shown(), [["node-1", "held"]]);
    await client.releaseLease(lease.launch);
    assert.deepEqual(await shown(), [["node-1", "released"]]);
    await check();
    await running.admin.nodes.revoke("node-1");
    await assert.rejects(check(), { code: "REFUSED" });
    await assert.rejects(client.releaseLease(lease.launch), { code: "REFUSED" });
    assert.deepEqual(await shown(), [["node-1", "refused"]]);
  });
});
