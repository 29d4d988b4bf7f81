import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../src/enclave/errors.ts";
import { toEvidence } from "../../src/enclave/evidence/attestation-json.ts";
import { dcapVerifiers } from "../../src/enclave/evidence/dcap.ts";
import { AttestationJudge, type EvidenceToJudge, type Verdict } from "../../src/enclave/evidence/judge.ts";
import { simulatedVerifier } from "../../src/enclave/evidence/simulated.ts";
import { tpmVerifier } from "../../src/enclave/evidence/tpm.ts";
import type { EvidenceVerifier } from "../../src/enclave/evidence/verifier.ts";
import { type Policy, PolicySchema } from "../../src/enclave/messages/generated/fpc/policy_pb.ts";

/** A policy that allows one type of attestation, an hour old at most. */
export function policyFor(type: string, roots: readonly string[] = [], ageSeconds = 3600): Policy {
  return create(PolicySchema, {
    allowedAttestationTypes: [type],
    allowedTcbStatuses: ["UpToDate"],
    evidenceAgeSeconds: BigInt(ageSeconds),
    attestationRoots: roots.map((pem) => ({ attestationType: type, root: Buffer.from(pem) })),
  });
}

/** A case that is judged well as it is, and what a test changes in it. */
export type JudgedCase = Omit<EvidenceToJudge, "evidence" | "floor"> & Partial<EvidenceToJudge>;

export async function judge(good: JudgedCase, verifiers?: readonly EvidenceVerifier[]): Promise<Verdict> {
  const evidence = good.evidence ?? toEvidence(good.attestation);
  return await new AttestationJudge(verifiers).judge({ floor: undefined, ...good, evidence });
}

/** The judge of the product, but that Intel is the tests' own. @param intelRoot - DER */
export function judgeUnder(intelRoot: Uint8Array): AttestationJudge {
  return new AttestationJudge([simulatedVerifier(), tpmVerifier(), ...dcapVerifiers(intelRoot)]);
}

/** Fails unless it is refused as bad evidence, for a reason that matches. */
export async function assertRefused(judged: Promise<unknown>, reason: RegExp): Promise<void> {
  await assert.rejects(judged, (error: unknown) => {
    assert.ok(error instanceof EnclaveError, String(error));
    assert.equal(error.code, "BAD_EVIDENCE", error.message);
    assert.match(error.message, reason);
    return true;
  });
}

/** The JSON of an attestation or evidence with one field put another way, canonical again. */
export function withField(json: Buffer, name: string, change: (value: string) => string): Buffer {
  const value = JSON.parse(json.toString("utf8")) as Record<string, Record<string, string>>;
  const inner = value.attestation ?? value.evidence;
  const before = inner?.[name];
  if (inner === undefined || before === undefined) throw new Error(`there is no field ${name}`);
  inner[name] = change(before);
  return Buffer.from(JSON.stringify(value));
}

/** A field in base64 with one bit of one byte changed. */
export function withFlippedBit(json: Buffer, name: string, at: number, bit = 0): Buffer {
  return withField(json, name, (value) => {
    const bytes = Buffer.from(value, "base64");
    const index = at < 0 ? bytes.length + at : at;
    bytes[index] = (bytes[index] ?? 0) ^ (1 << bit);
    return bytes.toString("base64");
  });
}

export function fieldOf(json: Buffer, name: string): Buffer {
  const value = JSON.parse(json.toString("utf8")) as Record<string, Record<string, string>>;
  return Buffer.from((value.attestation ?? value.evidence)?.[name] ?? "", "base64");
}
