import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Enrolment } from "../../../src/client/enroll.ts";
import { certificateOf, errorOf, type RunningKeyManager, rawRequest, startKeyManager } from "./running-key-manager.ts";

const report = {
  enclave: "E0".repeat(32),
  organisation: "Org1MSP",
  channel: "trade",
  chaincode: "auction",
  measurement: "AB".repeat(48),
  state: "provisioned",
  generation: 3,
} as const;

describe("enclaves over the native door", () => {
  let running: RunningKeyManager;
  let node: Enrolment;
  before(async () => {
    running = await startKeyManager();
    node = await running.enrolled("host-1");
  });
  after(() => running[Symbol.asyncDispose]());

  const post = (path: string, body: unknown) =>
    rawRequest(running.url, node.caPem, { path, body: JSON.stringify(body), certificate: certificateOf(node) });

  const malformed: readonly (readonly [string, unknown, string])[] = [
    ["nothing", {}, "enclave"],
    ["an id in small letters", { ...report, enclave: "e0".repeat(32) }, "enclave"],
    ["an id with a line's end", { ...report, enclave: `${report.enclave}\n` }, "enclave"],
    ["an empty organisation", { ...report, organisation: "" }, "organisation"],
    ["markup for a channel", { ...report, channel: "<b>" }, "channel"],
    ["a long chaincode", { ...report, chaincode: "c".repeat(250) }, "chaincode"],
    ["a measurement of 64 bytes", { ...report, measurement: "AB".repeat(64) }, "measurement"],
    ["an unknown state", { ...report, state: "running" }, "state"],
    ["a generation in text", { ...report, generation: "3" }, "generation"],
    ["generation 0", { ...report, generation: 0 }, "generation"],
    ["a generation of 33 bits", { ...report, generation: 2 ** 32 }, "generation"],
    ["no generation", { ...report, generation: undefined }, "generation"],
    ["a node's name", { ...report, node: "host-2" }, "node"],
    ["a time", { ...report, reportedAt: "now" }, "reportedAt"],
  ];
  for (const [what, body, path] of malformed)
    it(`refuse a report with ${what}, with the member's path`, async () => {
      const reply = await post("/v1/enclaves/report", body);
      assert.equal(reply.status, 400);
      assert.deepEqual([errorOf(reply).code, errorOf(reply).path], ["INPUT_INVALID", path]);
      assert.deepEqual(await running.admin.enclaves.list(), []);
    });

  it("are reported by their host, listed, and forgotten", async () => {
    using client = running.clientOf(node);
    await client.reportEnclave(report);
    await client.reportEnclave(report);
    const [listed, ...others] = await running.admin.enclaves.list("host-1");
    assert.deepEqual(others, []);
    assert.ok(listed !== undefined && Date.parse(listed.reportedAt) > 0);
    const { reportedAt: _, ...rest } = listed;
    assert.deepEqual(rest, { node: "host-1", hostState: "enabled", ...report });
    await running.admin.enclaves.forget("host-1", report.enclave);
    await assert.rejects(running.admin.enclaves.forget("host-1", report.enclave), {
      code: "NOT_FOUND",
      serverCode: "ENCLAVE_NOT_FOUND",
    });
  });

  it("are not reported by a node that is revoked", async () => {
    using client = running.clientOf(node);
    await running.admin.nodes.revoke("host-1");
    await assert.rejects(client.reportEnclave(report), { code: "REFUSED" });
    assert.deepEqual(await running.admin.enclaves.list(), []);
  });
});
