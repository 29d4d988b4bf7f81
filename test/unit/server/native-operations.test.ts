import assert from "node:assert/strict";
import { type AddressInfo, connect as connectPlain, createServer } from "node:net";
import { after, before, describe, it } from "node:test";
import { connect } from "node:tls";
import { KeyManagerClient } from "../../../src/client/client.ts";
import type { Enrolment } from "../../../src/client/enroll.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { certificateOf, errorOf, type RunningKeyManager, rawRequest, startKeyManager } from "./running-key-manager.ts";

describe("operations of the native door", () => {
  let manager: RunningKeyManager;
  let node: Enrolment;
  let client: KeyManagerClient;
  let keyId: string;
  const context = { node: "node-0", purpose: "disk" };
  before(async () => {
    manager = await startKeyManager();
    ({ keyId } = await manager.admin.keys.create({ alias: "alias/nodes" }));
    node = await manager.enrolled("node-0", "alias/nodes");
    client = manager.clientOf(node);
  });
  after(async () => {
    client.close();
    await manager[Symbol.asyncDispose]();
  });

  const ask = (path: string, body: string | Buffer, headers: Record<string, string> = {}, method = "POST") =>
    rawRequest(manager.url, manager.authority.serverIssuerPem, {
      method,
      path,
      body,
      headers,
      certificate: certificateOf(node),
    });

  it("wraps and unwraps a data key for a node, as raw bytes", async () => {
    using plaintext = SecretBuffer.random(32);
    const wrapped = await client.wrap({ key: "alias/nodes", context, plaintext });
    assert.equal(wrapped.keyId, keyId);
    const opened = await client.unwrap({ wrapped: wrapped.wrapped, context });
    assert.equal(opened.keyId, keyId);
    assert.equal(opened.keyVersion, 1);
    assert.ok(opened.plaintext.equals(plaintext));
  });

  it("answers an unwrap with the key's id and version in headers and nothing but the bytes in the body", async () => {
    const { wrapped } = await client.generateDataKey({ key: keyId, context });
    const reply = await ask("/v1/unwrap", JSON.stringify({ wrapped: wrapped.toString("base64"), context }));
    assert.equal(reply.status, 200);
    assert.equal(reply.headers["content-type"], "application/octet-stream");
    assert.equal(reply.headers["cache-control"], "no-store");
    assert.equal(reply.headers["strongroom-key-id"], keyId);
    assert.equal(reply.headers["strongroom-key-version"], "1");
    assert.equal(reply.body.length, 32);
  });

  it("never answers a generated key in the clear", async () => {
    const reply = await ask("/v1/generate-data-key", JSON.stringify({ key: keyId, context }));
    assert.deepEqual(Object.keys(JSON.parse(reply.body.toString())).sort(), ["keyId", "keyVersion", "wrapped"]);
  });

  it("rewraps to the newest version", async () => {
    const { wrapped } = await client.generateDataKey({ key: keyId, context });
    await manager.admin.keys.rotate(keyId);
    const moved = await client.rewrap({ wrapped, context });
    assert.equal(moved.keyVersion, 2);
    using before = (await client.unwrap({ wrapped, context })).plaintext;
    using now = (await client.unwrap({ wrapped: moved.wrapped, context })).plaintext;
    assert.ok(before.equals(now));
  });

  it("refuses a node the context of another", async () => {
    const other = { node: "node-1" };
    await assert.rejects(client.generateDataKey({ key: keyId, context: other }), {
      code: "REFUSED",
      serverCode: "ACCESS_DENIED",
      exitCode: 3,
    });
  });

  it("refuses an altered wrapped key", async () => {
    const { wrapped } = await client.generateDataKey({ key: keyId, context });
    wrapped.writeUInt8((wrapped.at(-1) ?? 0) ^ 1, wrapped.length - 1);
    await assert.rejects(client.unwrap({ wrapped, context }), { code: "REFUSED", serverCode: "WRAP_REFUSED" });
  });

  it("names the request in the audit record by the id in the answer", async () => {
    const reply = await ask("/v1/generate-data-key", JSON.stringify({ key: keyId, context }));
    const records = await manager.admin.audit.read({ after: 0, limit: 10_000 });
    const record = records.find((each) => each.requestId === reply.headers["x-request-id"]);
    assert.equal(record?.principal, node.principal);
    assert.equal(record?.door, "native");
    assert.equal(record?.peer, "127.0.0.1");
    assert.equal(record?.result, "done");
  });

  it("records what comes over the administration socket as the local administrator's", async () => {
    await manager.admin.keys.describe(keyId);
    const record = (await manager.admin.audit.read({ after: 0, limit: 10_000 })).findLast(
      (each) => each.action === "kms:DescribeKey",
    );
    assert.equal(record?.principal, manager.custody.identity.localAdministrator);
    assert.equal(record?.peer, `unix:uid=${process.getuid?.()}`);
    assert.equal(record?.door, "local");
  });

  it("lets the administrator run every group of operations", async () => {
    const { admin } = manager;
    await admin.aliases.create("alias/second", keyId);
    await admin.aliases.delete("alias/second");
    assert.deepEqual(
      (await admin.aliases.list()).map((each) => each.alias),
      ["alias/nodes"],
    );
    await admin.policies.put(keyId, await admin.policies.get(keyId));
    const { arn } = await admin.principals.create({ name: "auditor-1", kind: "user", role: "auditor" });
    const grant = await admin.grants.create(keyId, { grantee: arn, operations: ["DescribeKey"] });
    assert.ok((await admin.grants.list(keyId)).some((each) => each.id === grant.id));
    await admin.grants.revoke(keyId, grant.id);
    assert.equal((await admin.principals.disable("auditor-1")).state, "revoked");
    using superKey = SecretBuffer.copyOf(Buffer.from("123xyz"));
    const cipherDataKey = "ed157f4588b86d61a2e1745efe71e6ea";
    await admin.legacy.register({ mode: "standard", cipherDataKey, superKey });
    assert.equal((await admin.legacy.list())[0]?.cipherDataKey, cipherDataKey);
    const checkpoint = await admin.audit.checkpoint();
    assert.equal((await admin.audit.verify(checkpoint)).ok, true);
  });

  it("goes on to the next server when one closes before the handshake ends, also with a change", async () => {
    const closing = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => closing.listen({ host: "127.0.0.1", port: 0 }, resolve));
    const first = `https://127.0.0.1:${(closing.address() as AddressInfo).port}`;
    const { caPem } = node;
    using both = KeyManagerClient.overTls({ servers: [first, manager.url], caPem, identity: node });
    assert.equal((await both.generateDataKey({ key: keyId, context })).keyId, keyId);
    closing.close();
  });

  it("says INTEGRITY of a server that does not chain to the pinned issuer", async () => {
    await using other = await startKeyManager();
    using lost = KeyManagerClient.overTls({ servers: [other.url], caPem: node.caPem, identity: node });
    await assert.rejects(lost.whoami(), { code: "INTEGRITY", exitCode: 5 });
    using found = KeyManagerClient.overTls({ servers: [other.url, manager.url], caPem: node.caPem, identity: node });
    assert.equal((await found.whoami()).principal, node.principal);
  });

  it("says REFUSED of a certificate that the server does not know", async () => {
    await using other = await startKeyManager();
    const foreign = await other.enrolled("node-0");
    const identity = { certificatePem: foreign.certificatePem, privateKeyPem: foreign.privateKeyPem };
    using stranger = KeyManagerClient.overTls({ servers: [manager.url], caPem: node.caPem, identity });
    await assert.rejects(stranger.whoami(), { code: "REFUSED", serverCode: "UNAUTHENTICATED", exitCode: 3 });
  });

  it("refuses a node what is the administrator's", async () => {
    await assert.rejects(client.keys.create({}), { serverCode: "ACCESS_DENIED" });
    await assert.rejects(client.nodes.createToken({ name: "node-x", identity: "file" }), {
      serverCode: "ACCESS_DENIED",
    });
    await assert.rejects(client.audit.read({ after: 0, limit: 1 }), { serverCode: "ACCESS_DENIED" });
  });

  const bad: readonly (readonly [string, string, unknown, string])[] = [
    ["an unknown member", "/v1/keys/describe", { key: "x", more: 1 }, "more"],
    ["a missing member", "/v1/keys/describe", {}, "key"],
    ["a number for a string", "/v1/keys/describe", { key: 5 }, "key"],
    ["a string for a number", "/v1/keys/schedule-deletion", { key: "x", pendingDays: "7" }, "pendingDays"],
    ["a number out of range", "/v1/keys/schedule-deletion", { key: "x", pendingDays: 31 }, "pendingDays"],
    ["a fraction", "/v1/audit/read", { after: 0, limit: 1.5 }, "limit"],
    ["a wrong type inside a context", "/v1/unwrap", { wrapped: "AAAA", context: { node: 5 } }, "context.node"],
    ["null for a context", "/v1/unwrap", { wrapped: "AAAA", context: null }, "context"],
    ["an empty context name", "/v1/unwrap", { wrapped: "AAAA", context: { "": "x" } }, "context."],
    ["text that is not base64", "/v1/unwrap", { wrapped: "AA_-", context: {} }, "wrapped"],
    ["base64 with unused bits set", "/v1/unwrap", { wrapped: "AAB=", context: {} }, "wrapped"],
    ["base64 without padding", "/v1/unwrap", { wrapped: "AA", context: {} }, "wrapped"],
    ["an unknown choice", "/v1/keys/create", { suite: "rot13" }, "suite"],
    ["an unknown member deep inside", "/v1/audit/verify", { checkpoint: { account: "1", x: 1 } }, "checkpoint.epoch"],
    [
      "an unknown constraint",
      "/v1/grants/create",
      { key: "x", grantee: "y", operations: ["Decrypt"], constraints: { z: {} } },
      "constraints.z",
    ],
    [
      "an unknown grant operation",
      "/v1/grants/create",
      { key: "x", grantee: "y", operations: ["Everything"] },
      "operations.0",
    ],
    ["an array for an object", "/v1/keys/describe", [], ""],
    ["a string for an object", "/v1/keys/describe", "key", ""],
    ["null for an object", "/v1/keys/describe", null, ""],
  ];
  for (const [what, path, value, at] of bad)
    it(`refuses ${what} with its path`, async () => {
      const reply = await ask(path, JSON.stringify(value));
      assert.equal(reply.status, 400);
      assert.equal(errorOf(reply).code, "INPUT_INVALID");
      assert.equal(errorOf(reply).path, at);
      assert.equal(JSON.parse(reply.body.toString()).requestId, reply.headers["x-request-id"]);
    });

  const proto: readonly (readonly [string, string])[] = [
    ['{"__proto__":{"key":"x"}}', "__proto__"],
    ['{"wrapped":"AAAA","context":{"__proto__":"x"}}', "context.__proto__"],
    ['{"wrapped":"AAAA","context":{"\\u005f_proto__":"x"}}', "context.__proto__"],
  ];
  for (const [body, path] of proto)
    it(`refuses ${body}`, async () => {
      const reply = await ask("/v1/unwrap", body);
      assert.equal(reply.status, 400);
      assert.equal(errorOf(reply).path, path);
    });

  for (const body of ["", "{", "{'key':1}", '{"key":"x"}{"key":"y"}', "\u0000", '{"key":NaN}'])
    it(`refuses ${JSON.stringify(body)} as JSON, without quoting it`, async () => {
      const reply = await ask("/v1/keys/describe", body);
      assert.equal(reply.status, 400);
      assert.equal(errorOf(reply).message, "the request is not JSON in UTF-8");
    });

  it("refuses bytes that are not UTF-8", async () => {
    const reply = await ask("/v1/keys/describe", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]));
    assert.equal(reply.status, 400);
  });

  it("refuses JSON that is nested deeper than any request", async () => {
    const deep = `{"key":"\\u0041","more":${"[".repeat(20_000)}${"]".repeat(20_000)}}`;
    assert.equal((await ask("/v1/keys/describe", deep)).status, 400);
  });

  it("refuses a body over 64 KiB, announced or not, and takes one of 64 KiB", async () => {
    const body = (bytes: number) => `{"key":"${"x".repeat(bytes - 10)}"}`;
    const announced = await ask("/v1/keys/describe", body(64 * 1024 + 1));
    assert.equal(announced.status, 400);
    assert.match(errorOf(announced).message, /over 65536 bytes/);
    assert.equal(announced.headers.connection, "close");
    const chunked = await ask("/v1/keys/describe", body(64 * 1024 + 1), { "transfer-encoding": "chunked" });
    assert.equal(chunked.status, 400);
    assert.match(errorOf(chunked).message, /over 65536 bytes/);
    assert.equal(errorOf(await ask("/v1/keys/describe", body(64 * 1024))).path, "key");
  });

  it("refuses another media type", async () => {
    const form = await ask("/v1/keys/describe", "key=x", { "content-type": "application/x-www-form-urlencoded" });
    assert.equal(form.status, 415);
    assert.equal((await ask("/v1/wrap", "{}", {})).status, 415);
  });

  it("refuses a wrap without its header, with a bad one, or without bytes", async () => {
    const type = { "content-type": "application/octet-stream" };
    assert.equal((await ask("/v1/wrap", "secret", type)).status, 400);
    assert.equal((await ask("/v1/wrap", "secret", { ...type, "strongroom-input": "{}" })).status, 400);
    const input = Buffer.from(JSON.stringify({ key: keyId, context })).toString("base64");
    assert.equal((await ask("/v1/wrap", "", { ...type, "strongroom-input": input })).status, 400);
    assert.equal((await ask("/v1/wrap", "secret", { ...type, "strongroom-input": input })).status, 200);
  });

  it("refuses a body where none belongs, another method, an unknown path, a query", async () => {
    assert.equal((await ask("/v1/whoami", "{}", {}, "GET")).status, 400);
    assert.equal((await ask("/v1/whoami", "")).status, 405);
    assert.equal((await ask("/v1/unwrap", "", {}, "GET")).status, 405);
    for (const path of ["/v1/unwrap/", "/v1/unwrap?x=1", "/v1//unwrap", "/v1/../v1/unwrap", "/V1/unwrap", "/"])
      assert.equal((await ask(path, "{}")).status, 404, path);
  });

  it("answers malformed HTTP with 400 and closes", async () => {
    const text = await new Promise<string>((resolve, reject) => {
      const { hostname, port } = new URL(manager.url);
      const socket = connect({ host: hostname, port: Number(port), ca: manager.authority.serverIssuerPem });
      let received = "";
      socket.on("data", (chunk) => {
        received += chunk;
      });
      socket.on("error", reject);
      socket.on("close", () => resolve(received));
      socket.write("NONSENSE\r\n\r\n");
    });
    assert.match(text, /^HTTP\/1\.1 400 /);
  });

  it("closes a connection that speaks plain HTTP", async () => {
    const received = await new Promise<number>((resolve) => {
      const { hostname, port } = new URL(manager.url);
      const socket = connectPlain({ host: hostname, port: Number(port) });
      let bytes = 0;
      socket.on("data", (chunk) => {
        bytes += chunk.length;
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(bytes));
      socket.write("GET /v1/whoami HTTP/1.1\r\nhost: x\r\n\r\n");
    });
    assert.ok(received < 64);
  });

  it("still answers after all this", async () => {
    assert.equal((await client.whoami()).principal, node.principal);
    assert.deepEqual(manager.log, []);
  });
});
