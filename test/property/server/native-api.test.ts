import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import type { Enrolment } from "../../../src/client/enroll.ts";
import { decodeEnrolmentToken, encodeEnrolmentToken } from "../../../src/client/enrolment-token.ts";
import { operations } from "../../../src/client/operations.ts";
import { protocol } from "../../../src/client/protocol.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { readCertificateRequest } from "../../../src/server/certificate-request.ts";
import { scaled, seed } from "../../run-settings.ts";
import {
  certificateOf,
  type RawReply,
  type RunningKeyManager,
  rawRequest,
  startKeyManager,
} from "../../unit/server/running-key-manager.ts";

/** What any request may be answered: never 500, always of the documented shape. */
function assertOrderly(reply: RawReply): void {
  assert.ok([200, 204, 400, 403, 404, 405, 409, 415].includes(reply.status), `status ${reply.status}`);
  assert.match(String(reply.headers["x-request-id"]), /^[0-9a-f-]{36}$/);
  if (reply.status < 400) return;
  const { error, requestId } = JSON.parse(reply.body.toString());
  assert.match(error.code, /^[A-Z_]+$/);
  assert.equal(typeof error.message, "string");
  assert.equal(requestId, reply.headers["x-request-id"]);
}

describe("the native door under generated input", () => {
  let manager: RunningKeyManager;
  let node: Enrolment;
  before(async () => {
    manager = await startKeyManager();
    await manager.admin.keys.create({ alias: "alias/nodes" });
    node = await manager.enrolled("node-0", "alias/nodes");
  });
  after(() => manager[Symbol.asyncDispose]());

  const names = Object.keys(operations) as (keyof typeof operations)[];
  const send = (name: keyof typeof operations, body: Buffer, headers: Record<string, string> = {}) => {
    const { method, path, input } = operations[name];
    const type = input === "secret" ? "application/octet-stream" : "application/json";
    return rawRequest(manager.url, manager.authority.serverIssuerPem, {
      method,
      path,
      body,
      headers: { "content-type": type, ...headers },
      certificate: certificateOf(node),
    });
  };

  it("answers any JSON value in good order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), fc.json(), async (name, json) => {
        assertOrderly(await send(name, Buffer.from(json)));
      }),
      { seed, numRuns: scaled(2000) },
    );
  });

  it("answers objects with the right members and any values in good order", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names).chain((name) => {
          const { input } = protocol[name];
          const members = "shape" in input ? Object.keys(input.shape) : [];
          const value = fc.oneof(
            fc.jsonValue({ maxDepth: 2 }),
            fc.constantFrom("alias/nodes", "AAAA", "node-0", { node: "node-0" }, 7),
          );
          return fc.tuple(
            fc.constant(name),
            fc.record(Object.fromEntries(members.map((each) => [each, value])), { requiredKeys: [] }),
          );
        }),
        async ([name, value]) => {
          const json = Buffer.from(JSON.stringify(value));
          const headers: Record<string, string> =
            operations[name].input === "secret" ? { "strongroom-input": json.toString("base64").slice(0, 8000) } : {};
          assertOrderly(await send(name, json, headers));
        },
      ),
      { seed, numRuns: scaled(4000) },
    );
  });

  it("answers any bytes in good order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), fc.uint8Array({ maxLength: 600 }), async (name, bytes) => {
        assertOrderly(await send(name, Buffer.from(bytes)));
      }),
      { seed, numRuns: scaled(1000) },
    );
  });

  it("leaves a key manager that works, has logged nothing, and whose audit chain verifies", async () => {
    using client = manager.clientOf(node);
    const context = { node: "node-0" };
    const { wrapped } = await client.generateDataKey({ key: "alias/nodes", context });
    using _plaintext = (await client.unwrap({ wrapped, context })).plaintext;
    assert.deepEqual(manager.log, []);
    assert.equal((await manager.admin.audit.verify()).ok, true);
  });
});

describe("parsers of enrolment under generated input", () => {
  it("reads back every token that it writes", () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ minLength: 16, maxLength: 64 }),
        (name, fingerprint, bytes) => {
          const secret = SecretBuffer.copyOf(bytes);
          const token = encodeEnrolmentToken({ name, caFingerprint: Buffer.from(fingerprint), secret });
          const read = decodeEnrolmentToken(token);
          assert.equal(read.name, name);
          assert.deepEqual(read.caFingerprint, Buffer.from(fingerprint));
          assert.ok(read.secret.equals(secret));
        },
      ),
      { seed, numRuns: scaled(4000) },
    );
  });

  it("refuses any other text with one code", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.string().map((text) => Buffer.from(`sr1.${text}`)),
        ),
        (bytes) => {
          assert.throws(() => decodeEnrolmentToken(SecretBuffer.copyOf(bytes)), { code: "REQUEST_INVALID" });
        },
      ),
      { seed, numRuns: scaled(10_000) },
    );
  });

  it("refuses any bytes as a certification request, without throwing", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
        assert.equal(readCertificateRequest(Buffer.from(bytes)), undefined);
      }),
      { seed, numRuns: scaled(20_000) },
    );
  });
});
