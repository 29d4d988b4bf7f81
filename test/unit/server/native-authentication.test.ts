import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { Agent, request } from "node:https";
import { after, before, describe, it } from "node:test";
import { connect } from "node:tls";
import { makeClientKeyPair } from "../../../src/client/certificate-request.ts";
import type { Enrolment } from "../../../src/client/enroll.ts";
import { operations } from "../../../src/client/operations.ts";
import { Authority } from "../../../src/server/authority.ts";
import {
  certificateOf,
  errorOf,
  type RawReply,
  type RunningKeyManager,
  rawRequest,
  startKeyManager,
} from "./running-key-manager.ts";

const hourMs = 3_600_000;

describe("authentication at the native door", () => {
  let manager: RunningKeyManager;
  let other: RunningKeyManager;
  let node: Enrolment;
  before(async () => {
    [manager, other] = await Promise.all([startKeyManager(), startKeyManager()]);
    node = await manager.enrolled("node-0");
  });
  after(async () => {
    await manager[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  });

  const ask = (certificate?: { cert: string; key: string | Buffer }, path = "/v1/whoami") =>
    rawRequest(manager.url, manager.authority.serverIssuerPem, {
      method: "GET",
      path,
      ...(certificate === undefined ? {} : { certificate }),
    });
  const assertStranger = (reply: RawReply) => {
    assert.equal(reply.status, 401);
    assert.deepEqual(errorOf(reply), {
      code: "UNAUTHENTICATED",
      message: "no certificate of an enabled principal of this key manager",
    });
  };

  it("knows an enrolled node", async () => {
    const reply = await ask(certificateOf(node));
    assert.equal(reply.status, 200);
    assert.equal(JSON.parse(reply.body.toString()).principal, node.principal);
    assert.match(String(reply.headers["x-request-id"]), /^[0-9a-f-]{36}$/);
  });

  it("refuses a caller without a certificate, for every operation but enrolment", async () => {
    for (const [name, { method, path }] of Object.entries(operations)) {
      const reply = await rawRequest(manager.url, manager.authority.serverIssuerPem, { method, path, body: "" });
      if (name === "enroll") assert.equal(reply.status, 400, name);
      else assertStranger(reply);
    }
  });

  it("tells a stranger not even which operations there are", async () => {
    assertStranger(await ask(undefined, "/v1/nothing"));
    assertStranger(await ask(undefined, "/"));
  });

  it("refuses a certificate of another key manager", async () => {
    const foreign = await other.enrolled("node-0");
    assertStranger(await ask(certificateOf(foreign)));
  });

  it("refuses a certificate of its own issuer for a key that no principal owns", async () => {
    const { privateKeyPem, spki } = makeClientKeyPair();
    const { notAfter } = manager.authority.clientValidity();
    const issued = await manager.authority.issueClientCertificate("node-0", spki, notAfter);
    assertStranger(await ask({ cert: issued.certificate, key: privateKeyPem.expose((pem) => Buffer.from(pem)) }));
  });

  it("refuses a server certificate that is used as a client's", async () => {
    const { chainPem, privateKeyPem } = await manager.authority.issueServerCertificate(["node-0"]);
    assertStranger(await ask({ cert: chainPem, key: privateKeyPem.expose((pem) => Buffer.from(pem)) }));
  });

  it("refuses an expired certificate", async () => {
    const past = await Authority.open(manager.custody, () => Date.now() - 400 * 24 * hourMs);
    const { privateKeyPem, spki } = makeClientKeyPair();
    const { certificate } = await past.issueClientCertificate("node-0", spki, past.clientValidity().notAfter);
    assertStranger(await ask({ cert: certificate, key: privateKeyPem.expose((pem) => Buffer.from(pem)) }));
  });

  it("refuses a certificate that expires while its connection is kept open, at the next request", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const kept = keptRequest(manager, agent, certificateOf(node));
    assert.equal((await kept()).status, 200);
    manager.clock.offsetMs = 366 * 24 * hourMs;
    try {
      const { status, reused } = await kept();
      assert.deepEqual({ status, reused }, { status: 401, reused: true });
    } finally {
      manager.clock.offsetMs = 0;
      agent.destroy();
    }
  });

  it("refuses a revoked node on a kept connection, at its next request", async () => {
    const revoked = await manager.enrolled("node-revoked");
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const kept = keptRequest(manager, agent, certificateOf(revoked));
    assert.equal((await kept()).status, 200);
    await manager.admin.nodes.revoke("node-revoked");
    const { status, reused } = await kept();
    assert.deepEqual({ status, reused }, { status: 401, reused: true });
    agent.destroy();
  });

  it("refuses a certificate shown with another private key in the handshake", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    await assert.rejects(async () => ask({ cert: node.certificatePem, key }));
  });

  it("speaks TLS 1.3 only", async () => {
    const error = await new Promise<Error>((resolve, reject) => {
      const { hostname, port } = new URL(manager.url);
      const socket = connect({ host: hostname, port: Number(port), maxVersion: "TLSv1.2", rejectUnauthorized: false });
      socket.on("error", resolve);
      socket.on("secureConnect", () => reject(new Error("TLS 1.2 was accepted")));
    });
    assert.match(String((error as NodeJS.ErrnoException).code), /PROTOCOL_VERSION|ECONNRESET/);
  });

  it("does not speak HTTP/2", async () => {
    const outcome = await new Promise<string>((resolve) => {
      const { hostname, port } = new URL(manager.url);
      const socket = connect({ host: hostname, port: Number(port), ALPNProtocols: ["h2"], rejectUnauthorized: false });
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
      socket.on("secureConnect", () => resolve(String(socket.alpnProtocol)));
    });
    assert.notEqual(outcome, "h2");
  });

  it("does not switch to a websocket", async () => {
    const reply = await rawRequest(manager.url, manager.authority.serverIssuerPem, {
      method: "GET",
      path: "/v1/whoami",
      headers: {
        connection: "upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AA==",
      },
      certificate: certificateOf(node),
    });
    assert.equal(reply.status, 200);
  });

  it("counts refused strangers", async () => {
    const text = await manager.metrics.registry.metrics();
    assert.match(text, /strongroom_requests_total\{door="native",action="whoami",result="UNAUTHENTICATED"\} [1-9]/);
  });
});

function keptRequest(
  manager: RunningKeyManager,
  agent: Agent,
  certificate: { cert: string; key: Buffer },
): () => Promise<{ status: number; reused: boolean }> {
  const { hostname, port } = new URL(manager.url);
  return () =>
    new Promise((resolve, reject) => {
      const ca = manager.authority.serverIssuerPem;
      const sent = request({ hostname, port, ca, agent, path: "/v1/whoami", ...certificate }, (response) => {
        response.resume();
        response.on("end", () => resolve({ status: response.statusCode ?? 0, reused: sent.reusedSocket }));
      });
      sent.on("error", reject);
      sent.end();
    });
}
