import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before, suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { collateralFields, toEvidence, writeAttestation } from "../../../../src/enclave/evidence/attestation-json.ts";
import { dcapVerifiers } from "../../../../src/enclave/evidence/dcap.ts";
import { collateralSlackMs } from "../../../../src/enclave/evidence/floor.ts";
import { EvidenceFloorSchema } from "../../../../src/enclave/messages/generated/fpc/evidence_pb.ts";
import { issueCertificate, sha256 } from "../../../enclave-platforms/certificates.ts";
import {
  type CollateralOptions,
  collateralOf,
  createIntel,
  type IntelStandIn,
  type QuoteOptions,
  sgxQuote,
  tdxQuote,
} from "../../../enclave-platforms/intel.ts";
import {
  assertRefused,
  fieldOf,
  type JudgedCase,
  judge,
  policyFor,
  withField,
  withFlippedBit,
} from "../../../enclave-platforms/judging.ts";

const statement = Buffer.from("what an enclave says of itself");
const reportData = Buffer.concat([sha256(statement), Buffer.alloc(32)]);
const day = 24 * 3_600_000;
const issued = Date.parse("2026-05-01T00:00:00Z");
const atMs = issued + 10 * day;
const measurements = {
  sgx: "E1".repeat(32),
  tdx: createHash("sha256")
    .update("strongroom/fpc/v1/tdx-measurement\0")
    .update(Buffer.concat(Array.from({ length: 8 }, (_, field) => Buffer.alloc(48, 0xa0 + field))))
    .digest("hex")
    .toUpperCase(),
};

let intel: IntelStandIn;
let collateral: Record<"sgx" | "tdx", Record<string, string>>;

async function caseOf(
  tee: "sgx" | "tdx",
  quoteOptions: QuoteOptions = {},
  options?: CollateralOptions,
): Promise<JudgedCase> {
  const quote = tee === "sgx" ? sgxQuote(intel, reportData, quoteOptions) : tdxQuote(intel, reportData, quoteOptions);
  const given = options === undefined ? collateral[tee] : await collateralOf(intel, { tee, ...options });
  return caseWith(tee, quote, given);
}

function caseWith(tee: "sgx" | "tdx", quote: Buffer, given: Record<string, string>): JudgedCase & { evidence: Buffer } {
  const type = `${tee}-dcap` as const;
  const attestation = writeAttestation(type, { quote: quote.toString("base64") });
  const evidence = toEvidence(attestation, given);
  const policy = policyFor(type, [], 30 * 24 * 3600);
  return { statement, attestation, evidence, measurement: measurements[tee], policy, atMs };
}

const judged = async (input: JudgedCase) => await judge(input, dcapVerifiers(intel.root.der));

before(async () => {
  intel = await createIntel();
  collateral = { sgx: await collateralOf(intel), tdx: await collateralOf(intel, { tee: "tdx" }) };
});

suite("quotes of Intel's DCAP", () => {
  for (const tee of ["sgx", "tdx"] as const) {
    test(`a ${tee} quote is accepted with its status, its advisories and the floor it raises`, async () => {
      const verdict = await judged(await caseOf(tee));
      assert.equal(verdict.measurement, measurements[tee]);
      assert.equal(verdict.tcbStatus, "UpToDate");
      assert.deepEqual(verdict.advisories, ["INTEL-SA-00001"]);
      assert.equal(verdict.madeAtMs, issued);
      const [entry] = verdict.raisedFloor?.entries ?? [];
      assert.equal(entry?.attestationType, `${tee}-dcap`);
      assert.equal(entry?.tcbEvaluationNumber, 18);
      assert.equal(entry?.collateralIssuedSeconds, BigInt(issued / 1000));
    });

    test(`a ${tee} quote is judged at the transaction's time and not by the clock`, async () => {
      const input = await caseOf(tee);
      await judged({ ...input, atMs: issued + 1000 });
      await judged({ ...input, atMs: issued + 30 * day });
      const policy = { ...input.policy, evidenceAgeSeconds: 10_000_000n };
      await assertRefused(judged({ ...input, policy, atMs: issued + 30 * day + 2000 }), /expired/);
      await assertRefused(judged({ ...input, atMs: issued - 2000 }), /in the future/);
      await assertRefused(judged({ ...input, policy: { ...policy, evidenceAgeSeconds: 5n } }), /allows 5 s/);
    });

    test(`a ${tee} quote about another statement, or by other code, is refused`, async () => {
      const input = await caseOf(tee);
      await assertRefused(judged({ ...input, statement: Buffer.from("another") }), /another statement/);
      await assertRefused(judged({ ...input, measurement: "00".repeat(32) }), /by code of measurement/);
    });

    test(`a ${tee} quote under another root than Intel's is refused by the standard verifier`, async () => {
      const input = await caseOf(tee);
      await assertRefused(judge(input, dcapVerifiers()), /do not lead to the root/);
    });

    test(`one changed bit in each part of a ${tee} quote is refused`, async () => {
      const input = await caseOf(tee);
      const quote = fieldOf(input.attestation as Buffer, "quote");
      const signedLength = 48 + (tee === "sgx" ? 384 : 584);
      const authData = signedLength + 4;
      const outer = tee === "sgx" ? 0 : 6;
      const qeReport = authData + 128 + outer;
      const parts = {
        version: 0,
        "key type": 2,
        "TEE type": 4,
        vendor: 12,
        report: 48,
        "end of the report": signedLength - 1,
        "length of the signature data": signedLength,
        signature: authData,
        "end of the signature": authData + 63,
        "attestation key": authData + 64,
        "QE report": qeReport,
        "QE's report data": qeReport + 320,
        "QE's signature": qeReport + 384,
        "length of QE's data": qeReport + 448,
        "QE's data": qeReport + 450,
        "type of the certificates": qeReport + 482,
        "their length": qeReport + 484,
        certificates: qeReport + 488 + 200,
        end: quote.length - 1,
      };
      for (const [name, at] of Object.entries(parts)) {
        const changed = Buffer.from(quote);
        changed[at] = (changed[at] ?? 0) ^ 1;
        const { attestation, evidence } = caseWith(tee, changed, collateral[tee]);
        await assertRefused(judged({ ...input, attestation, evidence }), /./).catch((error: unknown) => {
          throw new Error(`a changed bit in the ${name}`, { cause: error });
        });
      }
    });

    test(`one changed bit in each field of a ${tee} quote's collateral is refused`, async () => {
      const input = await caseOf(tee);
      const evidence = toEvidence(input.attestation, collateral[tee]);
      for (const name of collateralFields) {
        const length = collateral[tee][name]?.length ?? 0;
        for (const at of [2, Math.floor(length / 3), Math.floor(length / 2), length - 60]) {
          const flip = (value: string) => `${value.slice(0, at)}${value[at] === "a" ? "b" : "a"}${value.slice(at + 1)}`;
          const changed = withField(evidence, name, flip);
          await assertRefused(judged({ ...input, evidence: changed }), /./).catch((error: unknown) => {
            throw new Error(`a changed character ${at} of ${name}`, { cause: error });
          });
        }
      }
    });

    test(`bytes behind a ${tee} quote are refused`, async () => {
      const input = await caseOf(tee);
      const quote = Buffer.concat([fieldOf(input.attestation as Buffer, "quote"), Buffer.of(0)]);
      await assertRefused(judged({ ...input, ...caseWith(tee, quote, collateral[tee]) }), /behind/);
    });

    test(`a ${tee} quote of an enclave in debug mode is refused`, async () => {
      await assertRefused(judged(await caseOf(tee, { debug: true })), /Debug mode/);
    });
  }

  test("a quote of one kind of platform does not pass as one of the other", async () => {
    const quote = sgxQuote(intel, reportData);
    const input = caseWith("tdx", quote, collateral.sgx);
    await assertRefused(judged({ ...input, measurement: measurements.sgx }), /another kind of platform/);
    const tdx = caseWith("sgx", tdxQuote(intel, reportData), collateral.tdx);
    await assertRefused(judged({ ...tdx, measurement: measurements.tdx }), /another kind of platform/);
    await assertRefused(judged(caseWith("sgx", quote, collateral.tdx)), /does not verify/);
  });

  test("report data with anything behind the hash is refused", async () => {
    const quote = sgxQuote(intel, Buffer.concat([sha256(statement), Buffer.alloc(31), Buffer.of(1)]));
    await assertRefused(judged(caseWith("sgx", quote, collateral.sgx)), /report data/);
  });

  test("a TCB status that the policy does not allow is refused, and passes where it does", async () => {
    for (const status of ["SWHardeningNeeded", "ConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded"]) {
      const input = await caseOf("sgx", {}, { status });
      await assertRefused(judged(input), new RegExp(`status is ${status}`));
      const verdict = await judged({ ...input, policy: { ...input.policy, allowedTcbStatuses: [status] } });
      assert.equal(verdict.tcbStatus, status);
    }
  });

  test("a revoked TCB is refused, even by a policy that allows it", async () => {
    const input = await caseOf("sgx", {}, { status: "Revoked" });
    const policy = { ...input.policy, allowedTcbStatuses: ["Revoked", "UpToDate"] };
    await assertRefused(judged({ ...input, policy }), /Revoked/);
  });

  test("a TDX module that is out of date, revoked, unknown or below every level shows in the status", async () => {
    await assertRefused(judged(await caseOf("tdx", {}, { moduleStatus: "OutOfDate" })), /status is OutOfDate/);
    await assertRefused(judged(await caseOf("tdx", {}, { moduleStatus: "Revoked" })), /TCB status Revoked/);
    await assertRefused(judged(await caseOf("tdx", { moduleVersion: [3, 1] })), /below every level/);
    await assertRefused(judged(await caseOf("tdx", { moduleVersion: [5, 9] })), /no TDX module TDX_09/);
    const both = await caseOf("tdx", {}, { moduleStatus: "OutOfDate", status: "ConfigurationNeeded" });
    await assertRefused(judged(both), /status is OutOfDateConfigurationNeeded/);
  });

  test("a certificate that was revoked is refused, whichever of the path it is", async () => {
    const serialOf = async (name: "pck" | "ca" | "tcbSigner") => {
      const { X509Certificate } = await import("node:crypto");
      return new X509Certificate(intel[name].der).serialNumber;
    };
    const cases: readonly CollateralOptions[] = [
      { revokedByCa: ["0abc", await serialOf("pck")] },
      { revokedByRoot: [await serialOf("ca")] },
      { revokedByRoot: [await serialOf("tcbSigner")] },
    ];
    for (const options of cases) await assertRefused(judged(await caseOf("sgx", {}, options)), /has been revoked/);
    await judged(await caseOf("sgx", {}, { revokedByCa: ["0abc"], revokedByRoot: ["0def"] }));
  });

  test("a revocation list that somebody else signed, or that has ended, is refused", async () => {
    await assertRefused(
      judged(await caseOf("sgx", {}, { listSigner: intel.pck.key })),
      /revocation list does not verify/,
    );
    await assertRefused(
      judged(await caseOf("sgx", {}, { listsTo: new Date(atMs - 1000) })),
      /revocation list is not valid/,
    );
  });

  test("the revocation list of another authority is refused", async () => {
    const other = await issueCertificate("Intel SGX PCK Processor CA", { issuer: intel.root, authorities: 0 });
    const given = await collateralOf({ ...intel, ca: other });
    await assertRefused(judged(caseWith("sgx", sgxQuote(intel, reportData), given)), /of another authority/);
  });

  test("collateral signed by a platform's key, by no signer of Intel's, or under another root is refused", async () => {
    const named = await issueCertificate("Intel SGX TCB Signing", { issuer: intel.pck });
    await assertRefused(judged(await caseOf("sgx", {}, { signer: named })), /not signed by the next|to the root/);
    const unnamed = await issueCertificate("Intel SGX PCK Certificate", { issuer: intel.root });
    await assertRefused(judged(await caseOf("sgx", {}, { signer: unnamed })), /not signed by Intel SGX TCB Signing/);
    const stranger = await createIntel();
    await assertRefused(judged(caseWith("sgx", sgxQuote(intel, reportData), await collateralOf(stranger))), /the root/);
    await assertRefused(judged(caseWith("sgx", sgxQuote(stranger, reportData), collateral.sgx)), /the root/);
  });

  test("a path through a certificate that is no authority's is refused, which the library lets pass", async () => {
    const leaf = await issueCertificate("Intel SGX PCK Certificate", { issuer: intel.pck });
    const given = await collateralOf({ ...intel, ca: intel.pck });
    const quote = sgxQuote({ ...intel, pck: leaf }, reportData, { chain: [leaf, intel.pck, intel.ca, intel.root] });
    await assertRefused(judged(caseWith("sgx", quote, given)), /no authority's|not signed by the next/);
  });

  test("what the ledger has seen is a floor: a lower evaluation number or much older collateral is refused", async () => {
    const floorOf = (number: number, seconds: number, type = "sgx-dcap") =>
      create(EvidenceFloorSchema, {
        entries: [{ attestationType: type, tcbEvaluationNumber: number, collateralIssuedSeconds: BigInt(seconds) }],
      });
    const input = await caseOf("sgx");
    const same = await judged({ ...input, floor: floorOf(18, issued / 1000) });
    assert.equal(same.raisedFloor, undefined);
    await assertRefused(judged({ ...input, floor: floorOf(19, issued / 1000) }), /evaluation number is 18/);
    const oldest = (issued + collateralSlackMs) / 1000;
    assert.equal((await judged({ ...input, floor: floorOf(18, oldest) })).raisedFloor, undefined);
    await assertRefused(judged({ ...input, floor: floorOf(18, oldest + 1) }), /much older/);
    const raised = (await judged({ ...input, floor: floorOf(17, oldest) })).raisedFloor;
    assert.deepEqual(
      raised?.entries.map((one) => [one.tcbEvaluationNumber, Number(one.collateralIssuedSeconds)]),
      [[18, oldest]],
    );
    const others = (await judged({ ...input, floor: floorOf(99, oldest * 2, "tdx-dcap") })).raisedFloor;
    assert.deepEqual(
      others?.entries.map((one) => one.attestationType),
      ["sgx-dcap", "tdx-dcap"],
    );
  });

  test("the same evidence has the same verdict each time", async () => {
    const input = await caseOf("tdx");
    assert.deepEqual(await judged(input), await judged(input));
  });

  test("evidence is of the attestation's own quote", async () => {
    const input = await caseOf("sgx");
    const evidence = withFlippedBit(toEvidence(input.attestation, collateral.sgx), "quote", 500);
    await assertRefused(judged({ ...input, evidence }), /another attestation: quote/);
  });
});
