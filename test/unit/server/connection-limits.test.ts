import assert from "node:assert/strict";
import type { Server } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import type { Enrolment } from "../../../src/client/enroll.ts";
import { tlsServer } from "../../../src/server/native/door.ts";
import { certificateOf, type RunningKeyManager, startKeyManager } from "./running-key-manager.ts";

describe("connections to the native door", () => {
  let manager: RunningKeyManager;
  let node: Enrolment;
  let server: Server;
  let port: number;
  before(async () => {
    manager = await startKeyManager();
    node = await manager.enrolled("node-0");
    const { custody, authority, metrics } = manager;
    server = tlsServer({
      custody,
      authority,
      metrics,
      certificate: await authority.issueServerCertificate(["127.0.0.1"]),
      clock: Date.now,
      closing: () => false,
      onUnexpected: (error) => {
        throw error;
      },
    });
    await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
    ({ port } = server.address() as AddressInfo);
  });
  after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await manager[Symbol.asyncDispose]();
  });

  const open = (options: object = {}) =>
    new Promise<TLSSocket>((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, ca: manager.authority.serverIssuerPem, ...options }, () => {
        socket.off("error", reject);
        socket.on("error", () => {});
        resolve(socket);
      });
      socket.once("error", reject);
    });
  const untilClosed = (socket: TLSSocket) =>
    new Promise<string>((resolve) => {
      let received = "";
      socket.on("data", (chunk) => {
        received += chunk;
      });
      socket.on("close", () => resolve(received));
    });
  const statusOf = (socket: TLSSocket) =>
    new Promise<number>((resolve, reject) => {
      socket.once("data", (chunk: Buffer) => resolve(Number(chunk.toString("latin1").split(" ")[1])));
      socket.once("close", () => reject(new Error("closed")));
      socket.write("GET /v1/whoami HTTP/1.1\r\nhost: x\r\n\r\n");
    });

  it("are closed when a request's head does not come to an end in time", async () => {
    server.headersTimeout = 200;
    const socket = await open(certificateOf(node));
    const closed = untilClosed(socket);
    socket.write("GET /v1/whoami HTTP/1.1\r\nhost: x\r\n");
    const drip = setInterval(() => socket.write("a: b\r\n"), 50);
    assert.match(await closed, /^HTTP\/1\.1 408 /);
    clearInterval(drip);
    server.headersTimeout = 10_000;
  });

  it("are closed when a body does not come to an end in time", async () => {
    server.requestTimeout = 200;
    server.headersTimeout = 200;
    const socket = await open(certificateOf(node));
    const closed = untilClosed(socket);
    socket.write(
      "POST /v1/unwrap HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n",
    );
    const drip = setInterval(() => socket.write(" "), 50);
    assert.match(await closed, /^HTTP\/1\.1 408 /);
    clearInterval(drip);
    server.requestTimeout = 20_000;
    server.headersTimeout = 10_000;
  });

  it("are refused with headers over 24 KiB", async () => {
    const socket = await open(certificateOf(node));
    const closed = untilClosed(socket);
    socket.write(`GET /v1/whoami HTTP/1.1\r\nhost: x\r\na: ${"x".repeat(30_000)}\r\n\r\n`);
    assert.match(await closed, /^HTTP\/1\.1 431 /);
  });

  it("without a certificate are limited in number, so that they keep no node out", async () => {
    const strangers: TLSSocket[] = [];
    for (let i = 0; i < 64; i++) strangers.push(await open());
    const oneTooMany = await open();
    assert.equal(await untilClosed(oneTooMany), "");
    assert.equal(await statusOf(await open(certificateOf(node))), 200);
    const [first] = strangers;
    assert.ok(first);
    assert.equal(await statusOf(first), 401);
    for (const socket of strangers) socket.destroy();
  });

  it("that resume a TLS session are asked for their principal like any other", async () => {
    const manyTimes = await manager.enrolled("node-resumed");
    const certificate = certificateOf(manyTimes);
    const session = await new Promise<Buffer>((resolve, reject) => {
      open(certificate).then((socket) => socket.once("session", resolve), reject);
    });
    const before = await open({ ...certificate, session });
    const beforeReused = before.isSessionReused();
    assert.equal(await statusOf(before), 200);
    await manager.admin.nodes.revoke("node-resumed");
    assert.equal(await statusOf(before), 401);
    const afterwards = await open({ ...certificate, session });
    assert.equal(afterwards.isSessionReused(), beforeReused);
    assert.equal(await statusOf(afterwards), 401);
  });
});
