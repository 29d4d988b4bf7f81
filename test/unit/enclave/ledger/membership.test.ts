import assert from "node:assert/strict";
import "reflect-metadata";
import { generateKeyPairSync, webcrypto, X509Certificate } from "node:crypto";
import { before, describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import * as x509 from "@peculiar/x509";
import { OrganisationAuthority } from "../../../../src/enclave/ledger/embedded/organisation-authority.ts";
import { Membership, serializeIdentity } from "../../../../src/enclave/ledger/membership.ts";
import { SerializedIdentitySchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { membershipOf, type TrialOrganisation, trialOrganisation } from "./trial-channel.ts";

const dayMs = 24 * 60 * 60 * 1000;

describe("the membership of a channel", () => {
  let one: TrialOrganisation;
  let other: TrialOrganisation;
  let membership: Membership;
  before(async () => {
    one = await trialOrganisation("Org1MSP");
    other = await trialOrganisation("Org2MSP");
    membership = membershipOf([one, other]);
  });

  const issued = async (units: readonly string[], dates: { notBefore?: Date; notAfter?: Date } = {}) =>
    (await one.authority.issue({ commonName: "someone", units, ...dates })).certificate;

  it("knows a member's organisation, role and key", () => {
    const client = membership.identify(serializeIdentity(one.client), Date.now());
    assert.equal(client?.mspId, "Org1MSP");
    assert.equal(client.role, "client");
    assert.ok(client.key.equals(new X509Certificate(one.client.certificate).publicKey));
    assert.equal(membership.identify(other.peer.serialized)?.role, "peer");
  });

  it("does not know a member of one organisation as one of another", () => {
    const { certificate } = one.client;
    assert.equal(membership.identify(serializeIdentity({ mspId: "Org2MSP", certificate })), undefined);
    assert.equal(membership.identify(serializeIdentity({ mspId: "Org3MSP", certificate })), undefined);
    assert.equal(membership.identify(serializeIdentity({ mspId: "", certificate })), undefined);
  });

  it("does not know somebody whose authority has the same name and another key", async () => {
    const { authority } = await OrganisationAuthority.create("Org1MSP");
    const { certificate } = await authority.issue({ commonName: "peer", units: ["peer"] });
    assert.equal(membership.identify(serializeIdentity({ mspId: "Org1MSP", certificate })), undefined);
  });

  for (const [what, units] of [
    ["no role", ["employee"]],
    ["no unit", []],
    ["two roles", ["client", "admin"]],
    ["a role in other letters", ["Admin"]],
  ] as const)
    it(`does not know somebody with ${what}`, async () => {
      const certificate = await issued(units);
      assert.equal(membership.identify(serializeIdentity({ mspId: "Org1MSP", certificate })), undefined);
    });

  it("tells the role among units that are none", async () => {
    const certificate = await issued(["department", "peer"]);
    assert.equal(membership.identify(serializeIdentity({ mspId: "Org1MSP", certificate }))?.role, "peer");
  });

  it("takes a certificate in PEM alone, as Fabric's peers do: what they would not count is not counted here", () => {
    const { certificate } = one.peer;
    const { raw } = new X509Certificate(certificate);
    const serialized = (idBytes: Uint8Array) =>
      toBinary(SerializedIdentitySchema, create(SerializedIdentitySchema, { mspid: "Org1MSP", idBytes }));
    for (const right of [certificate, certificate.trimEnd(), certificate.replaceAll("\n", "\r\n")])
      assert.equal(membership.identify(serialized(Buffer.from(right)))?.role, "peer");
    const pemOf = (type: string, bytes: Uint8Array) =>
      `-----BEGIN ${type}-----\n${Buffer.from(bytes).toString("base64").replaceAll(/.{64}/g, "$&\n")}\n-----END ${type}-----\n`;
    for (const wrong of [
      raw,
      `text before it\n${certificate}`,
      `${pemOf("SOMETHING", raw)}${certificate}`,
      `${certificate}${certificate}`,
      `${certificate}text after it`,
      pemOf("X509 CERTIFICATE", raw),
      pemOf("TRUSTED CERTIFICATE", raw),
      pemOf("CERTIFICATE", Buffer.concat([raw, Buffer.of(0)])),
      certificate.replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n"),
    ])
      assert.equal(
        membership.identify(serialized(Buffer.from(wrong))),
        undefined,
        Buffer.from(wrong).toString("latin1"),
      );
  });

  describe("as Fabric's peers read certificates in transactions", () => {
    const serialized = (text: string, mspid = "Org1MSP") =>
      toBinary(SerializedIdentitySchema, create(SerializedIdentitySchema, { mspid, idBytes: Buffer.from(text) }));

    it("knows who is in the first PEM, and passes over what is around it", () => {
      const asFabric = membershipOf([one, other], "fabric");
      const { certificate } = one.peer;
      for (const text of [
        certificate,
        `text\n${certificate}\n${other.peer.certificate}`,
        certificate.replaceAll("CERTIFICATE", "X"),
      ]) {
        const identity = asFabric.identify(serialized(text));
        assert.equal(identity?.certificate.fingerprint256, new X509Certificate(certificate).fingerprint256);
      }
      const raw = new X509Certificate(certificate).raw;
      const longer = Buffer.concat([raw, Buffer.of(0)]).toString("base64");
      for (const text of [
        raw.toString("latin1"),
        `${other.peer.certificate}\n${certificate}`,
        `-----BEGIN X-----\n${longer}\n-----END X-----\n`,
      ])
        assert.equal(asFabric.identify(serialized(text)), undefined);
      assert.equal(asFabric.identify(serialized(certificate, "Org2MSP")), undefined);
      assert.equal(asFabric.identify(serialized(one.authority.certificate)), undefined);
    });

    it("knows who has a key on another of NIST's curves, whom we do not take for ourselves", async () => {
      for (const curve of ["P-256", "P-384", "P-521"] as const) {
        const { root, certificate } = await certificateOn(curve);
        const organisations = [{ mspId: "Org1MSP", roots: [root] }];
        const member = serialized(certificate);
        assert.equal(new Membership(organisations, "fabric").identify(member)?.role, "client", curve);
        assert.equal(new Membership(organisations).identify(member)?.role, curve === "P-256" ? "client" : undefined);
      }
    });
  });

  it("does not take an authority's own certificate for a member's", () => {
    const { certificate } = one.authority;
    assert.equal(membership.identify(serializeIdentity({ mspId: "Org1MSP", certificate })), undefined);
  });

  it("refuses certificates before and after their time where one is asked about, and only there", async () => {
    const now = Date.now();
    const late = await issued(["peer"], { notBefore: new Date(now - 2 * dayMs), notAfter: new Date(now - dayMs) });
    const early = await issued(["peer"], { notBefore: new Date(now + dayMs), notAfter: new Date(now + 2 * dayMs) });
    for (const certificate of [late, early]) {
      const serialized = serializeIdentity({ mspId: "Org1MSP", certificate });
      assert.equal(membership.identify(serialized, now), undefined);
      assert.equal(membership.identify(serialized)?.role, "peer");
    }
  });

  it("does not know a member whose certificate has any part altered", () => {
    const der = new X509Certificate(one.client.certificate).raw;
    for (let at = 0; at < der.length; at += 7) {
      const altered = Buffer.from(der);
      altered[at] = (altered[at] ?? 0) ^ 1;
      const certificate = `-----BEGIN CERTIFICATE-----\n${altered.toString("base64")}\n-----END CERTIFICATE-----\n`;
      assert.equal(membership.identify(serializeIdentity({ mspId: "Org1MSP", certificate })), undefined, `byte ${at}`);
    }
  });

  it("does not know what is no certificate, no message, or too long", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    for (const certificate of [
      "",
      "text",
      privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      `${one.client.certificate}${" ".repeat(20_000)}`,
    ])
      assert.equal(membership.identify(serializeIdentity({ mspId: "Org1MSP", certificate })), undefined);
    assert.equal(membership.identify(Buffer.from("no message")), undefined);
    assert.equal(membership.identify(Buffer.alloc(0)), undefined);
  });

  it("keeps to its answers when it is asked more often than it remembers", () => {
    for (let i = 0; i < 1100; i++) membership.identify(Buffer.from(`nobody ${i}`));
    assert.equal(membership.identify(one.peer.serialized)?.role, "peer");
  });

  it("cannot be made of what is no certificate", () => {
    assert.throws(() => new Membership([{ mspId: "Org1MSP", roots: ["nothing"] }]));
  });
});

/** A client's certificate for a key on this curve, and its authority's, in PEM. */
async function certificateOn(curve: "P-256" | "P-384" | "P-521"): Promise<{ root: string; certificate: string }> {
  const crypto = webcrypto as unknown as Crypto;
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, false, ["sign", "verify"]);
  const root = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: "CN=ca",
      keys,
      signingAlgorithm: algorithm,
      extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
    },
    crypto,
  );
  const { publicKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: curve }, false, [
    "sign",
    "verify",
  ]);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: "OU=client, CN=someone",
      issuer: root.subject,
      publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [new x509.BasicConstraintsExtension(false, undefined, true)],
    },
    crypto,
  );
  return { root: root.toString("pem"), certificate: certificate.toString("pem") };
}
