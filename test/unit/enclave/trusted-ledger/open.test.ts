import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import type { EvidenceJudge, EvidenceToJudge } from "../../../../src/enclave/evidence/judge.ts";
import { TrustedLedgerParametersSchema } from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { LedgerEnclaveReads } from "../../../../src/enclave/trusted-ledger/ledger-enclave-reads.ts";
import { ledgerEnclaveCheck, openTrustedLedger } from "../../../../src/enclave/trusted-ledger/open.ts";
import { SignedQuorumReads } from "../../../../src/enclave/trusted-ledger/signed-quorum-reads.ts";
import { newOrganisation } from "./answering-peers.ts";

type Parameters = MessageInitShape<typeof TrustedLedgerParametersSchema>;

const measurement = "AB".repeat(32);
const root = Buffer.from("a root");
const organisations = (await Promise.all(["Org1MSP", "Org2MSP"].map(newOrganisation))).map(({ mspId, roots }) => ({
  mspId,
  rootCertificates: roots.map((pem) => Buffer.from(pem)),
}));
const quorum: Parameters = { erccName: "ercc", organisations, quorum: 2 };
const ledgerEnclave: Parameters = {
  erccName: "ercc",
  tlccMrenclave: measurement,
  tlccAttestationType: "simulated",
  tlccAttestationRoot: root,
};

/** A FAKE judge that keeps what it is asked and takes it. */
class KeepingJudge implements EvidenceJudge {
  readonly asked: EvidenceToJudge[] = [];

  async judge(input: EvidenceToJudge) {
    this.asked.push(input);
    const type = "simulated" as const;
    return { type, measurement, madeAtMs: 0, tcbStatus: undefined, advisories: [], raisedFloor: undefined };
  }
}

function open(parameters: Parameters) {
  return openTrustedLedger(
    create(TrustedLedgerParametersSchema, parameters),
    () => Promise.reject(new EnclaveError("LEDGER_UNAVAILABLE", "a test")),
    {
      channelId: "private-channel",
      channelHash: Buffer.alloc(32),
      chaincodeId: "auction",
      enclaveId: measurement,
      tee: { quote: () => Promise.reject(new TypeError("a fake platform")) },
      judge: new KeepingJudge(),
    },
  );
}

suite("the parameters of a trusted ledger", () => {
  test("choose signed quorum reads or a ledger enclave", () => {
    assert.ok(open(quorum) instanceof SignedQuorumReads);
    assert.ok(open(ledgerEnclave) instanceof LedgerEnclaveReads);
  });

  test("are refused when they name neither, both, or what cannot be", () => {
    const [first] = organisations;
    assert.ok(first);
    for (const wrong of [
      {},
      { erccName: "ercc" },
      { ...quorum, erccName: "" },
      { ...quorum, tlccMrenclave: measurement },
      { ...quorum, quorum: 0 },
      { ...quorum, quorum: 3 },
      { ...quorum, organisations: [first, first] },
      { ...quorum, organisations: [first, { mspId: "Org2MSP" }] },
      { ...quorum, organisations: [first, { mspId: "Org2MSP", rootCertificates: [root] }] },
      { ...ledgerEnclave, tlccMrenclave: "ab".repeat(32) },
      { ...ledgerEnclave, tlccMrenclave: "AB" },
    ])
      assert.throws(() => open(wrong), { code: "MALFORMED" });
  });

  test("say what evidence of the ledger enclave has to prove", async () => {
    const judge = new KeepingJudge();
    const parameters = create(TrustedLedgerParametersSchema, ledgerEnclave);
    const statement = Buffer.from("what was said");
    const shown = { attestation: Buffer.from("attestation"), evidence: Buffer.from("evidence") };
    await ledgerEnclaveCheck(parameters, judge, () => 17)(statement, shown);
    const [asked] = judge.asked;
    assert.ok(asked);
    assert.deepEqual(
      [asked.statement, asked.attestation, asked.evidence, asked.measurement, asked.atMs],
      [statement, shown.attestation, shown.evidence, measurement, 17],
    );
    assert.deepEqual(asked.policy.allowedAttestationTypes, ["simulated"]);
    assert.deepEqual(
      asked.policy.attestationRoots.map((one) => [one.attestationType, Buffer.from(one.root)]),
      [["simulated", root]],
    );
    // Intel's root is its verifiers' own.
    const intel = { ...ledgerEnclave, tlccAttestationType: "sgx-dcap", tlccAttestationRoot: new Uint8Array() };
    await ledgerEnclaveCheck(create(TrustedLedgerParametersSchema, intel), judge, Date.now)(statement, shown);
    assert.deepEqual(judge.asked[1]?.policy.attestationRoots, []);
    assert.deepEqual(judge.asked[1]?.policy.allowedTcbStatuses, ["UpToDate", "SWHardeningNeeded"]);
  });
});
