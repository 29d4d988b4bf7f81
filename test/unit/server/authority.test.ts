import assert from "node:assert/strict";
import { createHash, createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { Authority } from "../../../src/server/authority.ts";
import { type RunningKeyManager, startKeyManager } from "./running-key-manager.ts";

const dayMs = 24 * 60 * 60 * 1000;

describe("the key manager's certificate authority", () => {
  let manager: RunningKeyManager;
  let authority: Authority;
  before(async () => {
    manager = await startKeyManager();
    authority = manager.authority;
  });
  after(() => manager[Symbol.asyncDispose]());

  it("is the same one each time it is opened", async () => {
    const again = await Authority.open(manager.custody);
    assert.equal(again.serverIssuerPem, authority.serverIssuerPem);
    assert.equal(again.clientIssuerPem, authority.clientIssuerPem);
    assert.equal(again.fingerprint.toString("hex"), manager.server.caFingerprint);
  });

  it("has two issuers with keys of their own, which sign certificates and nothing else", () => {
    const servers = new X509Certificate(authority.serverIssuerPem);
    const clients = authority.clientIssuer;
    for (const issuer of [servers, clients]) {
      assert.equal(issuer.ca, true);
      assert.ok(issuer.verify(issuer.publicKey));
      assert.equal(issuer.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
    }
    assert.notDeepEqual(
      servers.publicKey.export({ type: "spki", format: "der" }),
      clients.publicKey.export({ type: "spki", format: "der" }),
    );
    assert.notEqual(servers.subject, clients.subject);
  });

  it("pins the server issuer's public key", () => {
    const spki = new X509Certificate(authority.serverIssuerPem).publicKey.export({ type: "spki", format: "der" });
    assert.deepEqual(authority.fingerprint, createHash("sha256").update(spki).digest());
  });

  it("issues server certificates for 30 days, for server use, under all names", async () => {
    const { chainPem, privateKeyPem, notAfterMs } = await authority.issueServerCertificate(["km.example", "10.0.0.1"]);
    const [leaf = "", issuer = ""] = chainPem.match(/-----BEGIN[\s\S]*?END CERTIFICATE-----/g) ?? [];
    const certificate = new X509Certificate(leaf);
    assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.1"]);
    assert.equal(certificate.ca, false);
    assert.equal(certificate.checkHost("km.example"), "km.example");
    assert.equal(certificate.checkIP("10.0.0.1"), "10.0.0.1");
    assert.equal(certificate.checkHost("other.example"), undefined);
    assert.ok(certificate.checkPrivateKey(privateKeyPem.expose((pem) => createPrivateKey(pem))));
    assert.ok(certificate.verify(new X509Certificate(issuer).publicKey));
    assert.equal(certificate.verify(authority.clientIssuer.publicKey), false);
    assert.ok(Math.abs(notAfterMs - Date.now() - 30 * dayMs) < dayMs);
  });

  it("issues client certificates for a year, for client use", async () => {
    const { publicKey } = generateKeyPairSync("ed25519");
    const spki = publicKey.export({ type: "spki", format: "der" });
    const { notAfter } = authority.clientValidity();
    const issued = await authority.issueClientCertificate("a@b", spki, notAfter);
    const certificate = new X509Certificate(issued.certificate);
    assert.equal(certificate.subject, "CN=a@b");
    assert.equal(certificate.subjectAltName, undefined);
    assert.equal(certificate.validToDate.toISOString(), notAfter);
    assert.ok(Math.abs(Date.parse(notAfter) - Date.now() - 365 * dayMs) < dayMs);
  });

  it("gives no two certificates one serial number", async () => {
    const serials = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const { chainPem } = await authority.issueServerCertificate(["localhost"]);
      serials.add(new X509Certificate(chainPem).serialNumber);
    }
    assert.equal(serials.size, 20);
  });

  it("is not opened with a certificate that is not its key's", async () => {
    await using other = await startKeyManager();
    const foreign = await other.custody.secrets.readPublic("authority/clients");
    assert.ok(foreign);
    const caller = { principal: "x", door: "local", peer: "local", requestId: "r" } as const;
    await manager.custody.secrets.writePublic(caller, "authority/clients", foreign);
    await assert.rejects(Authority.open(manager.custody), { code: "STATE_TAMPERED" });
  });

  it("keeps issuer keys as secrets only", async () => {
    using key = await manager.custody.secrets.read("authority/servers");
    assert.ok(key instanceof SecretBuffer);
    const stored = await manager.custody.secrets.readPublic("authority/servers");
    const { d = "" } = key
      .expose((bytes) => createPrivateKey({ key: bytes, format: "der", type: "pkcs8" }))
      .export({ format: "jwk" });
    assert.equal(stored?.includes(Buffer.from(d, "base64url")), false);
  });
});
