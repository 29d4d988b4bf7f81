import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { compositeKey } from "../../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import type { EvidenceJudge, EvidenceToJudge } from "../../../../src/enclave/evidence/judge.ts";
import { requesterCheck } from "../../../../src/enclave/ledger-enclave/requester-check.ts";
import {
  SuccessorSchema,
  TrustedLedgerParametersSchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { Consortium, chaincodeId, version } from "../ercc/consortium.ts";

const successor = "CD".repeat(32);
const enclaveId = "12".repeat(32);
const shown = { attestation: Buffer.from("fake"), evidence: Buffer.from("fake") };
const tlccMrenclave = "EE".repeat(32);
const trustedLedger = create(TrustedLedgerParametersSchema, {
  erccName: "ercc",
  tlccMrenclave,
  tlccAttestationType: "simulated",
});
const statement = Buffer.from("what was said");

/** A FAKE judge, which takes code of these measurements. */
class MeasurementJudge implements EvidenceJudge {
  readonly asked: EvidenceToJudge[] = [];
  readonly right: readonly string[];

  constructor(...right: string[]) {
    this.right = right;
  }

  async judge(input: EvidenceToJudge) {
    this.asked.push(input);
    const { measurement, atMs } = input;
    if (!this.right.includes(measurement)) throw new EnclaveError("BAD_EVIDENCE", `it is not ${measurement}`);
    const type = "simulated" as const;
    return { type, measurement, madeAtMs: atMs, tcbStatus: undefined, advisories: [], raisedFloor: undefined };
  }
}

function check(consortium: Consortium, judge: EvidenceJudge, requester = { chaincodeId, enclaveId }): Promise<void> {
  const { ledger, nowMs } = consortium;
  const registry = () => ({
    timestampMs: nowMs,
    get: async (name: Parameters<typeof compositeKey>[0]) => ledger.read(compositeKey(name))?.value,
    definition: async (id: string) => ledger.definitions.get(id),
  });
  return requesterCheck(registry, judge)(requester, statement, shown);
}

suite("the ledger enclave hears an enclave", () => {
  test("of the measurement that it is registered with, and of no other", async () => {
    const consortium = await Consortium.start({ trustedLedger });
    const { id } = await consortium.newEnclave("Org1MSP", { attested: { tlccMrenclave } });
    await check(consortium, new MeasurementJudge(version), { chaincodeId, enclaveId: id });
    const other = new MeasurementJudge(successor);
    await assert.rejects(check(consortium, other, { chaincodeId, enclaveId: id }), { code: "BAD_EVIDENCE" });
    assert.deepEqual(
      other.asked.map(({ measurement }) => measurement),
      [version],
    );
  });

  test("before it is registered, of the definition's measurement or the successor's", async () => {
    const consortium = await Consortium.start({
      trustedLedger,
      allowedVersions: [version, successor],
      successor: create(SuccessorSchema, { version: successor, sequence: 2n }),
    });
    for (const measurement of [version, successor]) await check(consortium, new MeasurementJudge(measurement));
    await assert.rejects(check(consortium, new MeasurementJudge("EF".repeat(32))), { code: "BAD_EVIDENCE" });
  });

  test("whose evidence holds under the policy, now and over what was said", async () => {
    const consortium = await Consortium.start({ trustedLedger });
    const judge = new MeasurementJudge(version);
    await check(consortium, judge);
    const [asked] = judge.asked;
    assert.deepEqual(asked?.statement, statement);
    assert.equal(asked?.atMs, consortium.nowMs);
    assert.deepEqual(asked?.policy, consortium.policy);
  });
});

suite("the ledger enclave does not hear an enclave", () => {
  test("of a chaincode that has no policy document, or no definition", async () => {
    const consortium = await Consortium.start({ trustedLedger });
    const judge = new MeasurementJudge(version);
    const requester = { chaincodeId: "other", enclaveId };
    await assert.rejects(check(consortium, judge, requester), { code: "POLICY_DENIED" });
    consortium.ledger.definitions.clear();
    await assert.rejects(check(consortium, judge), { code: "POLICY_DENIED" });
    assert.equal(judge.asked.length, 0);
  });

  test("of a measurement that the policy does not allow, though the definition has it", async () => {
    const consortium = await Consortium.start({ trustedLedger });
    consortium.define({ version: successor, sequence: 2n });
    await assert.rejects(check(consortium, new MeasurementJudge(successor)), { code: "POLICY_DENIED" });
  });
});
