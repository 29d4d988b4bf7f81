import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { EnclaveError, type EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import { PolicySchema, SignedPolicySchema } from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import type { Member } from "../../../../src/enclave/operator/member.ts";
import { nextPolicy } from "../../../../src/enclave/operator/policies.ts";
import { readPolicyDocument, writePolicyDocument } from "../../../../src/enclave/operator/policy-document.ts";
import { readSignature, signDocument } from "../../../../src/enclave/operator/policy-signatures.ts";
import { newSigningKeyPair, readSigningKey } from "../../../../src/enclave/protocol/key-formats.ts";
import { verifySignedPolicy } from "../../../../src/enclave/protocol/policy.ts";

const keys = await Promise.all([newSigningKeyPair(), newSigningKeyPair()]);
const root = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const whole = {
  channel: "ch1",
  chaincode: "auction",
  number: 1,
  organisations: keys.map(({ publicPem }, index) => ({
    mspId: `Org${index + 1}MSP`,
    policyKey: Buffer.from(publicPem).toString(),
  })),
  threshold: 2,
  allowedVersions: ["AB".repeat(32)],
  allowedAttestationTypes: ["sgx-dcap"],
  allowedTcbStatuses: ["UpToDate"],
  evidenceAgeSeconds: 86_400,
  exportLifetimeSeconds: 3_600,
  exportRules: [{ from: "Org1MSP", to: "Org2MSP" }],
  successor: { version: "CD".repeat(32), sequence: 2 },
  attestationRoots: [{ type: "sgx-dcap", root }],
  trustedLedger: { registry: "ercc", quorum: 1, organisations: [{ mspId: "Org1MSP", roots: [root] }] },
};
const read = (change: object = {}) => readPolicyDocument(JSON.stringify({ ...whole, ...change }));

/** Of the organisation with one of the keys; only what signing uses. */
function member(index: number, chaincodeId = "auction"): Member {
  const pair = keys[index];
  assert.ok(pair);
  return {
    mspId: `Org${index + 1}MSP`,
    client: { chaincodeId, connection: { channelId: "ch1" } },
    keys: () => ({ policyKey: readSigningKey(pair.privatePem) }),
  } as unknown as Member;
}

const refused = (work: () => unknown, code: EnclaveErrorCode, says: RegExp) =>
  assert.throws(work, (error) => {
    assert.ok(error instanceof EnclaveError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, says);
    return true;
  });

describe("a policy document", () => {
  it("is the same policy when it is written and read again, with a quorum or with a ledger enclave", () => {
    const ledgerEnclave = { measurement: "EF".repeat(32), attestationType: "tpm", root };
    for (const policy of [
      read(),
      read({ trustedLedger: { registry: "ercc", ledgerEnclave } }),
      nextPolicy(read(), read()),
    ])
      assert.deepEqual(
        encode(PolicySchema, readPolicyDocument(writePolicyDocument(policy))),
        encode(PolicySchema, policy),
      );
  });

  it("has certificates as the channel has them, with a line's end after the last line or without", () => {
    const roots = [root, root.trimEnd()];
    const policy = read({
      trustedLedger: { registry: "ercc", quorum: 1, organisations: [{ mspId: "Org1MSP", roots }] },
    });
    const [first] = policy.trustedLedger?.organisations ?? [];
    assert.deepEqual(
      first?.rootCertificates.map((bytes) => Buffer.from(bytes).toString()),
      roots,
    );
    assert.deepEqual(
      encode(PolicySchema, readPolicyDocument(writePolicyDocument(policy))),
      encode(PolicySchema, policy),
    );
    const cut = root.slice(0, -9);
    refused(
      () => read({ attestationRoots: [{ type: "sgx-dcap", root: cut }] }),
      "MALFORMED",
      /root: is not a certificate in PEM/,
    );
  });

  it("has the number and the hash of the one before when it follows one", () => {
    const next = JSON.parse(writePolicyDocument(nextPolicy(read(), read())));
    assert.equal(next.number, 2);
    assert.match(next.previousPolicyHash, /^[0-9a-f]{64}$/);
  });

  it("is MALFORMED where a field is missing, unknown, or says what cannot be", () => {
    for (const name of [
      "channel",
      "organisations",
      "threshold",
      "allowedVersions",
      "trustedLedger",
      "evidenceAgeSeconds",
    ])
      refused(() => read({ [name]: undefined }), "MALFORMED", new RegExp(name));
    refused(() => read({ quorum: 2 }), "MALFORMED", /quorum/);
    refused(() => read({ threshold: 3 }), "MALFORMED", /threshold/);
    refused(() => read({ threshold: 1.5 }), "MALFORMED", /threshold/);
    refused(() => read({ number: -1 }), "MALFORMED", /number/);
    refused(() => read({ number: 2 }), "MALFORMED", /previous_policy_hash/);
    refused(() => read({ allowedAttestationTypes: ["sgx"] }), "MALFORMED", /allowed_attestation_types/);
    refused(() => read({ organisations: [{ mspId: "Org1MSP", policyKey: "/key.pem" }] }), "MALFORMED", /policyKey/);
    refused(() => read({ trustedLedger: { ...whole.trustedLedger, quorum: 2 } }), "MALFORMED", /quorum/);
    refused(() => readPolicyDocument("{"), "MALFORMED", /not JSON/);
    refused(() => readPolicyDocument("[]"), "MALFORMED", /policy document/);
  });
});

describe("a signature of a policy document", () => {
  const policy = read();
  const sign = (index: number) => JSON.stringify(signDocument(member(index), policy));

  it("goes by a text to who brings the policy into force, and verifies", () => {
    const signatures = [0, 1].map((index) => readSignature(sign(index), policy));
    const signed = create(SignedPolicySchema, {
      policy: encode(PolicySchema, policy),
      signatures: signatures.map(({ mspId, signature }) => ({ mspId, signature: Buffer.from(signature, "base64") })),
    });
    assert.equal(verifySignedPolicy(signed, undefined).number, 1n);
  });

  it("is not taken for another document's", () => {
    const other = create(PolicySchema, { ...policy, threshold: 1 });
    refused(() => readSignature(sign(0), other), "WRONG_CONTEXT", /Org1MSP is of another document/);
  });

  it("is MALFORMED where it is none", () => {
    const good = JSON.parse(sign(0));
    for (const text of [
      "",
      "{",
      "[]",
      JSON.stringify({ ...good, signature: "?" }),
      JSON.stringify({ ...good, more: 1 }),
    ])
      refused(() => readSignature(text, policy), "MALFORMED", /no signature/);
  });

  it("is not made for another chaincode, nor by an organisation that the first policy names with another key", () => {
    refused(() => signDocument(member(0, "other"), policy), "WRONG_CONTEXT", /for auction of channel ch1/);
    const stranger = { ...member(0), mspId: "Org3MSP", client: member(0).client, keys: member(0).keys };
    refused(() => signDocument(stranger as Member, policy), "POLICY_DENIED", /Org3MSP/);
    const swapped = { ...member(1), mspId: "Org1MSP", client: member(1).client, keys: member(1).keys };
    refused(() => signDocument(swapped as Member, policy), "POLICY_DENIED", /Org1MSP/);
  });
});
