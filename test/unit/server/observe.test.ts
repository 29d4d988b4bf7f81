import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { Metrics, observationServer } from "../../../src/server/observe.ts";

async function listening(readiness: { ready: boolean; reason?: string }) {
  const metrics = new Metrics();
  const server = observationServer({ readiness: () => readiness }, metrics);
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    metrics,
    get: async (path: string, method = "GET") => {
      const response = await fetch(`${base}${path}`, { method });
      return { status: response.status, text: await response.text() };
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe("the listener for monitoring", () => {
  it("says alive and ready", async () => {
    await using observed = await listening({ ready: true });
    assert.equal((await observed.get("/healthz")).status, 200);
    assert.deepEqual(await observed.get("/readyz"), { status: 200, text: "ready\n" });
  });

  it("says why it is not ready, and is alive all the same", async () => {
    await using observed = await listening({ ready: false, reason: "no space left on device" });
    assert.deepEqual(await observed.get("/readyz"), { status: 503, text: "not ready: no space left on device\n" });
    assert.equal((await observed.get("/healthz")).status, 200);
  });

  it("counts requests by door, action and result, with durations in seconds", async () => {
    await using observed = await listening({ ready: true });
    observed.metrics.request("native", "unwrap", "done", 0.002);
    observed.metrics.request("native", "unwrap", "ACCESS_DENIED", 0.001);
    observed.metrics.auditCommit(3, 0.004);
    observed.metrics.connectionFailure("native", "ECONNRESET");
    const { text } = await observed.get("/metrics");
    assert.match(text, /strongroom_requests_total\{door="native",action="unwrap",result="done"\} 1\n/);
    assert.match(text, /strongroom_requests_total\{door="native",action="unwrap",result="ACCESS_DENIED"\} 1\n/);
    assert.match(text, /strongroom_request_duration_seconds_bucket\{le="0.0025",door="native",action="unwrap"\} 2\n/);
    assert.match(text, /strongroom_audit_commits_total 1\n/);
    assert.match(text, /strongroom_audit_records_total 3\n/);
    assert.match(text, /strongroom_connection_failures_total\{door="native",reason="ECONNRESET"\} 1\n/);
    assert.match(text, /process_resident_memory_bytes /);
  });

  it("answers nothing else", async () => {
    await using observed = await listening({ ready: true });
    assert.equal((await observed.get("/")).status, 404);
    assert.equal((await observed.get("/v1/whoami")).status, 404);
    assert.equal((await observed.get("/metrics", "POST")).status, 405);
  });
});
