import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type { AuditRecord, Caller } from "../../../src/custody/service.ts";
import {
  certificateOf,
  errorOf,
  type RawRequest,
  type RunningKeyManager,
  rawRequest,
  startKeyManager,
} from "./running-key-manager.ts";

describe("a request that is refused for its form", () => {
  let manager: RunningKeyManager;
  let certificate: { cert: string; key: Buffer };
  let principal: string;
  let nodes = 0;
  let admin: Caller;
  before(async () => {
    manager = await startKeyManager();
    const { localAdministrator } = manager.custody.identity;
    admin = { principal: localAdministrator, door: "local", peer: "local", requestId: "test" };
  });
  // One principal for each test: a principal has one such record a second.
  beforeEach(async () => {
    nodes += 1;
    const node = await manager.enrolled(`node-${nodes}`);
    certificate = certificateOf(node);
    principal = node.principal;
  });
  after(() => manager[Symbol.asyncDispose]());

  const ask = (raw: RawRequest) => rawRequest(manager.url, manager.authority.serverIssuerPem, raw);
  const known = (raw: RawRequest) => ask({ ...raw, certificate });
  /** What `act` has put on record, but for this reading of it. */
  async function recordsOf(act: () => Promise<void>): Promise<readonly AuditRecord[]> {
    const { sequence } = await manager.custody.audit.checkpoint(admin);
    await act();
    const records = await manager.custody.audit.read(admin, { after: sequence, limit: 1000 });
    return records.filter(({ requestId }) => requestId !== admin.requestId);
  }

  const malformed: readonly (readonly [string, number, string, RawRequest])[] = [
    ["an operation that is not there", 404, "ROUTE_NOT_FOUND", { path: "/v1/nothing" }],
    ["another method", 405, "METHOD_NOT_ALLOWED", { path: "/v1/whoami", method: "PUT" }],
    [
      "another media type",
      415,
      "MEDIA_TYPE_INVALID",
      { path: "/v1/keys/create", headers: { "content-type": "text/plain" }, body: "{}" },
    ],
    ["a body that is not JSON", 400, "INPUT_INVALID", { path: "/v1/keys/create", body: "{" }],
    ["a member that is not known", 400, "INPUT_INVALID", { path: "/v1/keys/create", body: '{"x":1}' }],
    [
      "a value that the operation itself looks at",
      400,
      "INPUT_INVALID",
      { path: "/v1/keys/create", body: '{"usage":"sign"}' },
    ],
    ["a body that is too large", 400, "INPUT_INVALID", { path: "/v1/keys/create", body: "x".repeat(70_000) }],
  ];
  for (const [what, status, code, raw] of malformed)
    it(`is on record under its caller's name: ${what}`, async () => {
      let requestId: string | undefined;
      const records = await recordsOf(async () => {
        const reply = await known(raw);
        assert.deepEqual([reply.status, errorOf(reply).code], [status, code]);
        requestId = String(reply.headers["x-request-id"]);
      });
      assert.deepEqual(
        records.map((record) => [record.principal, record.result, record.detail.code, record.requestId]),
        [[principal, "refused", code, requestId]],
      );
    });

  it("has one record only when an operation had decided it", async () => {
    const { keyId } = await manager.admin.keys.create({});
    const records = await recordsOf(async () => {
      const body = JSON.stringify({ key: keyId, policy: "{}" });
      const reply = await rawSocket("/v1/policies/put", body);
      assert.equal(reply, 400);
    });
    assert.deepEqual(
      records.map(({ action, result, error }) => [action, result, error]),
      [["kms:PutKeyPolicy", "refused", "INPUT_INVALID"]],
    );
  });

  it("has one record a second for each principal; the rest is counted", async () => {
    const records = await recordsOf(async () => {
      await Promise.all(Array.from({ length: 20 }, () => known({ path: "/v1/nothing" })));
    });
    assert.ok(records.length >= 1 && records.length < 20, `${records.length} records`);
  });

  it("has no record when nobody knows who sent it", async () => {
    const records = await recordsOf(async () => {
      assert.equal((await ask({ path: "/v1/nothing" })).status, 401);
      assert.equal((await ask({ path: "/v1/enroll", body: "{" })).status, 400);
      assert.equal((await ask({ path: "/v1/enroll", method: "PUT", body: "{}" })).status, 405);
      assert.equal((await ask({ path: "/v1/keys/create", body: "x".repeat(70_000) })).status, 401);
    });
    assert.deepEqual(records, []);
  });

  /** A POST over the administration socket; resolves to the status. */
  async function rawSocket(path: string, body: string): Promise<number> {
    const { request } = await import("node:http");
    return new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      const sent = request({ socketPath: manager.server.addresses.socket, method: "POST", path, headers });
      sent.on("error", reject);
      sent.on("response", (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
      });
      sent.end(body);
    });
  }
});
