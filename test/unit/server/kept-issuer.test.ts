import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { connect as connectTcp, createServer, type Server } from "node:net";
import { after, before, describe, it } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { enroll, spkiFingerprint } from "../../../src/client/enroll.ts";
import { type RunningKeyManager, startKeyManager } from "./running-key-manager.ts";

/** The same certificate with another signature: the same key, so the same fingerprint. */
function forged(pem: string): X509Certificate {
  const raw = Buffer.from(new X509Certificate(pem).raw);
  raw.writeUInt8(raw.readUInt8(raw.length - 1) ^ 1, raw.length - 1);
  return new X509Certificate(raw);
}

describe("the issuer that an enrolled node keeps", () => {
  let manager: RunningKeyManager;
  let middle: Server;
  let forgery: X509Certificate;
  before(async () => {
    manager = await startKeyManager();
    forgery = forged(manager.authority.serverIssuerPem);
    const { chainPem, privateKeyPem } = await manager.authority.issueServerCertificate(["127.0.0.1"]);
    const [leaf = ""] = chainPem.split(/(?<=-----END CERTIFICATE-----\n)/);
    const key = privateKeyPem.expose((pem) => Buffer.from(pem));
    const liar = createTlsServer({ minVersion: "TLSv1.3", cert: leaf + forgery.toString(), key });
    liar.on("tlsClientError", () => {});
    const { hostname, port } = new URL(manager.url);
    let connections = 0;
    // Whoever sits in the middle answers the first connection, and passes the later ones on.
    middle = createServer((socket) => {
      socket.on("error", () => {});
      connections += 1;
      if (connections === 1) {
        liar.emit("connection", socket);
        return;
      }
      const server = connectTcp(Number(port), hostname);
      server.on("error", () => socket.destroy());
      socket.pipe(server).pipe(socket);
    });
    await new Promise<void>((resolve) => middle.listen(0, "127.0.0.1", resolve));
  });
  after(async () => {
    middle.close();
    await manager[Symbol.asyncDispose]();
  });

  it("is the one that came over the authenticated connection, whatever the first connection showed", async () => {
    const genuine = new X509Certificate(manager.authority.serverIssuerPem);
    assert.ok(spkiFingerprint(forgery).equals(spkiFingerprint(genuine)));
    const address = middle.address();
    assert.ok(typeof address === "object" && address !== null);
    using token = await manager.tokenFor("node-0");
    const { caPem, privateKeyPem } = await enroll({ servers: [`https://127.0.0.1:${address.port}`], token });
    privateKeyPem[Symbol.dispose]();
    assert.equal(new X509Certificate(caPem).fingerprint256, genuine.fingerprint256);
  });
});
