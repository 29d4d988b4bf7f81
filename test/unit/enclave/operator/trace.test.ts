import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LedgerStep } from "../../../../src/enclave/operator/ledger-steps.ts";
import { type StubRecords, toMermaid, toPlantUml, traceArrows } from "../../../../src/enclave/operator/trace.ts";

const id = "0A".repeat(32);

function step(fields: Partial<LedgerStep>): LedgerStep {
  return {
    blockNumber: 9,
    txId: "00",
    atMs: 1000,
    mspId: "Org1MSP",
    chaincode: "ercc",
    transaction: "registerCCKeys",
    args: ["auction", "no message"],
    writes: [],
    outcome: "VALID",
    ...fields,
  };
}

function stub(...entries: StubRecords["entries"]): StubRecords {
  return { mspId: "Org1MSP", enclaveId: id, entries };
}

function texts(steps: readonly LedgerStep[], stubs: readonly StubRecords[] = []): readonly string[] {
  return traceArrows("ercc", "auction", steps, stubs).map(({ text }) => text);
}

describe("the trace of what happened", () => {
  it("draws what a transaction wrote and removed, with enclaves by their first digits", () => {
    const writes = [
      { key: ["namespaces/provisioned", "auction", id], isDelete: false },
      { key: ["namespaces/confirmed", "auction", "2", id], isDelete: true },
    ];
    assert.deepEqual(texts([step({ writes })]), [
      "registerCCKeys()",
      "put_state(namespaces/provisioned/auction/0A0A0A0A)",
      "del_state(namespaces/confirmed/auction/2/0A0A0A0A)",
      "submit registerCCKeys transaction: block 9, VALID",
    ]);
  });

  it("draws no write of a transaction that is not valid, and says why it is not", () => {
    const writes = [{ key: ["namespaces/chaincode_ek", "auction"], isDelete: false }];
    assert.deepEqual(texts([step({ writes, outcome: "MVCC_READ_CONFLICT" })]), [
      "registerCCKeys()",
      "submit registerCCKeys transaction: block 9, MVCC_READ_CONFLICT",
    ]);
  });

  it("puts an enclave's call before the transaction of the same millisecond, and after earlier ones", () => {
    const call = stub({ atMs: 1000, from: "stub", what: "generateCCKeys", outcome: "done" });
    const drawn = texts([step({ atMs: 999, transaction: "registerEnclave" }), step({})], [call]);
    const positions = ["registerEnclave()", "generateCCKeys()", "registerCCKeys()"].map((text) => drawn.indexOf(text));
    assert.ok(!positions.includes(-1), drawn.join("\n"));
    assert.deepEqual(
      positions,
      positions.toSorted((a, b) => a - b),
    );
  });

  it("draws what an enclave asked within its call, and why it aborted", () => {
    const asked = { atMs: 1, from: "enclave", what: `canEndorse auction ${id}`, outcome: "POLICY_DENIED" } as const;
    const call = { atMs: 2, from: "stub", what: "exportCCKeys", outcome: "POLICY_DENIED" } as const;
    assert.deepEqual(texts([], [stub(asked, call)]), [
      "exportCCKeys(Enclave2_Credentials)",
      "ecall_export_cc_keys(Enclave2_Credentials)",
      "can_endorse(auction, 0A0A0A0A): POLICY_DENIED",
      "abort: POLICY_DENIED",
    ]);
  });

  it("leaves out other chaincodes' transactions, and calls that are asked again and again", () => {
    const status = stub({ atMs: 1, from: "stub", what: "status", outcome: "done" });
    assert.deepEqual(texts([step({ chaincode: "_lifecycle" })], [status]), []);
  });

  it("has as many arrows in both formats, and no character that would end one in Mermaid", () => {
    const arrows = traceArrows(
      "ercc",
      "auction",
      [step({ transaction: "revokeEnclave", args: ["auction", id, "a; b # c"] })],
      [],
    );
    assert.equal(toPlantUml("t", arrows).match(/" -> "/g)?.length, arrows.length);
    const mermaid = toMermaid("a; b", arrows);
    assert.equal(mermaid.match(/->>/g)?.length, arrows.length);
    assert.doesNotMatch(mermaid, /[;#]/);
    assert.match(mermaid, /revokeEnclave\(0A0A0A0A, a, b , c\)/);
  });
});
