import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { makeCertificateRequest, makeClientKeyPair } from "../../../src/client/certificate-request.ts";
import { enroll } from "../../../src/client/enroll.ts";
import { decodeEnrolmentToken, encodeEnrolmentToken } from "../../../src/client/enrolment-token.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { errorOf, type RunningKeyManager, rawRequest, startKeyManager } from "./running-key-manager.ts";

describe("enrolment of a node", () => {
  let manager: RunningKeyManager;
  before(async () => {
    manager = await startKeyManager();
  });
  after(() => manager[Symbol.asyncDispose]());

  const rawEnroll = (body: object) =>
    rawRequest(manager.url, manager.authority.serverIssuerPem, { path: "/v1/enroll", body: JSON.stringify(body) });
  /** The base64url text of a token's secret. */
  const secretOf = (token: SecretBuffer) => token.expose((text) => text.toString().split(".").at(-1) ?? "");

  it("gives a node a certificate under its own name, for its own key, from the client issuer", async () => {
    const node = await manager.enrolled("node-0");
    const certificate = new X509Certificate(node.certificatePem);
    assert.equal(certificate.subject, "CN=node-0");
    assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.2"]);
    assert.equal(certificate.ca, false);
    assert.ok(certificate.verify(manager.authority.clientIssuer.publicKey));
    assert.equal(node.caPem.trim(), manager.authority.serverIssuerPem.trim());
    using client = manager.clientOf(node);
    assert.equal((await client.whoami()).principal, node.principal);
    assert.equal((await client.whoami()).certificateNotAfter, node.notAfter);
  });

  it("enrols two nodes as two principals", async () => {
    const [one, two] = await Promise.all([manager.enrolled("node-a"), manager.enrolled("node-b")]);
    assert.notEqual(one.principal, two.principal);
    using client = manager.clientOf(two);
    assert.equal((await client.whoami()).principal, two.principal);
  });

  it("refuses a token that was used", async () => {
    using token = await manager.tokenFor("node-once");
    await enroll({ servers: [manager.url], token });
    await assert.rejects(enroll({ servers: [manager.url], token }), { code: "REFUSED", serverCode: "TOKEN_REFUSED" });
  });

  it("refuses a token after 15 minutes", async () => {
    await using late = await startKeyManager();
    using token = await late.tokenFor("node-late");
    late.clock.offsetMs += 15 * 60 * 1000;
    await assert.rejects(enroll({ servers: [late.url], token }), { code: "REFUSED", serverCode: "TOKEN_REFUSED" });
  });

  it("refuses a token under another name, with the same answer as one that never was", async () => {
    await manager.tokenFor("node-victim");
    using token = await manager.tokenFor("node-thief");
    const csr = makeCertificateRequest("node-victim", makeClientKeyPair()).toString("base64");
    const stolen = await rawEnroll({ name: "node-victim", token: secretOf(token), csr });
    const invented = await rawEnroll({ name: "node-victim", token: "A".repeat(43), csr });
    assert.equal(stolen.status, 403);
    assert.deepEqual(errorOf(stolen), errorOf(invented));
    assert.equal(errorOf(stolen).code, "TOKEN_REFUSED");
  });

  it("refuses the older of two tokens for one name", async () => {
    using older = await manager.tokenFor("node-twice");
    using newer = await manager.tokenFor("node-twice");
    await assert.rejects(enroll({ servers: [manager.url], token: older }), { serverCode: "TOKEN_REFUSED" });
    await enroll({ servers: [manager.url], token: newer });
  });

  it("refuses the token of a node that was revoked meanwhile", async () => {
    using token = await manager.tokenFor("node-gone");
    await manager.admin.nodes.revoke("node-gone");
    await assert.rejects(enroll({ servers: [manager.url], token }), { serverCode: "TOKEN_REFUSED" });
  });

  it("sends nothing to a server that does not chain to the pinned issuer", async () => {
    using token = await manager.tokenFor("node-pin");
    const { name, secret } = decodeEnrolmentToken(token);
    using _secret = secret;
    using wrongPin = encodeEnrolmentToken({ name, secret, caFingerprint: Buffer.alloc(32, 7) });
    await assert.rejects(enroll({ servers: [manager.url], token: wrongPin }), { code: "INTEGRITY", exitCode: 5 });
    await enroll({ servers: [manager.url], token });
  });

  it("refuses the pin of the client issuer, which signs no servers", async () => {
    using token = await manager.tokenFor("node-issuer");
    const { name, secret } = decodeEnrolmentToken(token);
    using _secret = secret;
    const { publicKey } = manager.authority.clientIssuer;
    const caFingerprint = createHash("sha256")
      .update(publicKey.export({ type: "spki", format: "der" }))
      .digest();
    using wrongPin = encodeEnrolmentToken({ name, secret, caFingerprint });
    await assert.rejects(enroll({ servers: [manager.url], token: wrongPin }), { code: "INTEGRITY" });
  });

  it("refuses a server under a name that its certificate does not hold", async () => {
    using token = await manager.tokenFor("node-host");
    const { port } = new URL(manager.url);
    await assert.rejects(enroll({ servers: [`https://127.0.0.2:${port}`], token }), (error: { code: string }) =>
      ["INTEGRITY", "UNREACHABLE"].includes(error.code),
    );
  });

  it("says when no server can be reached", async () => {
    using token = await manager.tokenFor("node-far");
    await assert.rejects(enroll({ servers: ["https://127.0.0.1:1"], token }), { code: "UNREACHABLE", exitCode: 4 });
  });

  it("goes on to a server that can be reached", async () => {
    using token = await manager.tokenFor("node-next");
    const node = await enroll({ servers: ["https://127.0.0.1:1", manager.url], token });
    assert.equal(node.name, "node-next");
  });

  it("refuses a request for another name than the token's, without using the token up", async () => {
    using token = await manager.tokenFor("node-name");
    const csr = makeCertificateRequest("node-other", makeClientKeyPair()).toString("base64");
    const reply = await rawEnroll({ name: "node-name", token: secretOf(token), csr });
    assert.equal(reply.status, 400);
    assert.equal(errorOf(reply).path, "csr");
    await enroll({ servers: [manager.url], token });
  });

  it("refuses a request that is not signed by its own key", async () => {
    using token = await manager.tokenFor("node-proof");
    const stolenKey = makeClientKeyPair();
    const request = makeCertificateRequest("node-proof", { ...makeClientKeyPair(), spki: stolenKey.spki });
    const reply = await rawEnroll({ name: "node-proof", token: secretOf(token), csr: request.toString("base64") });
    assert.equal(errorOf(reply).path, "csr");
  });

  it("refuses a certificate that is not in force by this machine's clock", async () => {
    await using ahead = await startKeyManager();
    ahead.clock.offsetMs = 3 * 3_600_000;
    await assert.rejects(ahead.enrolled("node-clock"), { code: "INTEGRITY", message: /clock/ });
  });

  it("renews a certificate over the present one, and the new key works", async () => {
    const node = await manager.enrolled("node-renew");
    using client = manager.clientOf(node);
    const pair = makeClientKeyPair();
    const renewed = await client.renew({ csr: makeCertificateRequest("node-renew", pair) });
    const next = { ...node, certificatePem: renewed.certificate, privateKeyPem: pair.privateKeyPem };
    using second = manager.clientOf(next);
    assert.equal((await second.whoami()).principal, node.principal);
  });

  it("renews for no other name, and not over the administration socket", async () => {
    const node = await manager.enrolled("node-self");
    using client = manager.clientOf(node);
    const csr = makeCertificateRequest("node-0", makeClientKeyPair());
    await assert.rejects(client.renew({ csr }), { code: "REQUEST_INVALID", path: "csr" });
    await assert.rejects(manager.admin.renew({ csr }), { code: "REQUEST_INVALID" });
  });

  it("never logs the token", () => {
    assert.deepEqual(manager.log, []);
  });
});

describe("the text of an enrolment token", () => {
  const caFingerprint = Buffer.alloc(32, 0xfb);
  const text = () => encodeEnrolmentToken({ name: "node.0", caFingerprint, secret: SecretBuffer.random(32) });

  it("carries name, fingerprint and secret", () => {
    const secret = SecretBuffer.copyOf(Buffer.alloc(32, 0xff));
    const token = encodeEnrolmentToken({ name: "node.0", caFingerprint, secret });
    const written = token.expose((bytes) => bytes.toString());
    assert.equal(
      written,
      `sr1.node.0.${caFingerprint.toString("base64url")}.${Buffer.alloc(32, 0xff).toString("base64url")}`,
    );
    const read = decodeEnrolmentToken(token);
    assert.equal(read.name, "node.0");
    assert.deepEqual(read.caFingerprint, caFingerprint);
    assert.ok(read.secret.equals(secret));
  });

  it("is read with one line end after it", () => {
    for (const end of ["\n", "\r\n"]) {
      const line = SecretBuffer.take(text().expose((bytes) => Buffer.concat([bytes, Buffer.from(end)])));
      assert.equal(decodeEnrolmentToken(line).name, "node.0");
    }
  });

  it("refuses every cut", () => {
    const whole = text().expose((bytes) => Buffer.from(bytes));
    for (let length = 0; length < whole.length - 22; length++)
      assert.throws(() => decodeEnrolmentToken(SecretBuffer.copyOf(whole.subarray(0, length))), {
        code: "REQUEST_INVALID",
      });
  });

  it("refuses other versions, other alphabets, padding and white space", () => {
    const good = text().expose((bytes) => bytes.toString());
    const bad = [
      good.replace("sr1.", "sr2."),
      ` ${good}`,
      `${good} `,
      `${good}=`,
      `${good}\n\n`,
      good.replace("node.0", ""),
      good.replace("node.0", "node 0"),
      good.replace("node.0", "-node"),
      good.replace(caFingerprint.toString("base64url"), caFingerprint.toString("base64")),
      `sr1.node.${"A".repeat(43)}.${"A".repeat(300)}`,
      "",
    ];
    for (const each of bad)
      assert.throws(
        () => decodeEnrolmentToken(SecretBuffer.copyOf(Buffer.from(each))),
        { code: "REQUEST_INVALID" },
        each,
      );
  });

  it("never quotes the token in a message", () => {
    const bad = SecretBuffer.copyOf(Buffer.from(`sr1.node.0.${"B".repeat(43)}.SECRETSECRETSECRETSECRET!`));
    assert.throws(
      () => decodeEnrolmentToken(bad),
      (error: Error) => !error.message.includes("SECRET"),
    );
  });
});
