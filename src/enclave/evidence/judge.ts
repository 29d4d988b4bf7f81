import { createHash } from "node:crypto";
import { EnclaveError } from "../errors.ts";
import type { EvidenceFloor } from "../messages/generated/fpc/evidence_pb.ts";
import type { Policy } from "../messages/generated/fpc/policy_pb.ts";
import { type AttestationType, readAttestation, readEvidence } from "./attestation-json.ts";
import { dcapVerifiers } from "./dcap.ts";
import { keepFloor } from "./floor.ts";
import { nitroVerifier } from "./nitro.ts";
import { simulatedVerifier } from "./simulated.ts";
import { tpmVerifier } from "./tpm.ts";
import { type EvidenceVerifier, type Finding, timeText } from "./verifier.ts";

export interface EvidenceToJudge {
  /** What was attested: the `value` of the attested data's Any. */
  readonly statement: Uint8Array;
  /** JSON `{"attestation_type","attestation"}`, as the enclave made it. */
  readonly attestation: Uint8Array;
  /** JSON `{"attestation_type","evidence"}`, as `toEvidence` made it. */
  readonly evidence: Uint8Array;
  /** What it has to prove: 64 upper-case hex digits, the chaincode's version. */
  readonly measurement: string;
  /** Its attestation types, roots, TCB statuses and age; whether it allows the measurement is the caller's to ask. */
  readonly policy: Policy;
  /** When it is judged: the proposal's timestamp, milliseconds since 1970. No other clock is read. */
  readonly atMs: number;
  /** What the ledger has seen so far; undefined: nothing. */
  readonly floor: EvidenceFloor | undefined;
}

/** What the evidence proves. */
export interface Verdict {
  readonly type: AttestationType;
  readonly measurement: string;
  /** When the quote was made, or where it carries no time, when its oldest collateral was issued: milliseconds since 1970. */
  readonly madeAtMs: number;
  /** Intel's word on the platform; undefined where the type has none. */
  readonly tcbStatus: string | undefined;
  readonly advisories: readonly string[];
  /** The floor from now on; `undefined` where it stays as it is and nothing has to be written. */
  readonly raisedFloor: EvidenceFloor | undefined;
}

/** Decides whether an attestation proves that a statement was made by code of a measurement, on a platform the policy allows. */
export interface EvidenceJudge {
  /**
   * Deterministic: the same input has the same verdict, on every peer and on every day.
   *
   * @throws EnclaveError BAD_EVIDENCE, saying what does not hold; POLICY_DENIED: an attestation of a type that the policy does
   *   not allow
   */
  judge(input: EvidenceToJudge): Promise<Verdict>;
}

/** Host and client have clocks of their own; a quote may be this much ahead of the proposal. */
export const allowedClockSkewMs = 300_000;

/** Finds the verifier of an attestation's type, has it verified, and lays what it found beside what is demanded. */
export class AttestationJudge implements EvidenceJudge {
  readonly #verifiers: ReadonlyMap<string, EvidenceVerifier>;

  /** @param verifiers - One a type; tests put others in, whose roots are their own. */
  constructor(verifiers: readonly EvidenceVerifier[] = standardVerifiers()) {
    this.#verifiers = new Map(verifiers.map((one) => [one.type, one]));
  }

  async judge(input: EvidenceToJudge): Promise<Verdict> {
    const evidence = readEvidence(input.evidence);
    const attestation = readAttestation(input.attestation);
    if (attestation.type !== evidence.type)
      throw refused(`the attestation is of type ${attestation.type}, its evidence of type ${evidence.type}`);
    if (!input.policy.allowedAttestationTypes.includes(evidence.type))
      throw new EnclaveError("POLICY_DENIED", `the policy does not allow attestations of type ${evidence.type}`);
    const verifier = this.#verifiers.get(evidence.type);
    if (verifier === undefined) throw refused(`there is no verifier of attestations of type ${evidence.type}`);
    for (const [name, value] of attestation.fields)
      if (evidence.fields.get(name) !== value) throw refused(`the evidence is of another attestation: ${name} differs`);

    const roots = input.policy.attestationRoots.filter((one) => one.attestationType === evidence.type);
    const statementHash = createHash("sha256").update(input.statement).digest();
    const context = { statementHash, atMs: input.atMs, roots: roots.map((one) => one.root) };
    const finding = await verifier.verify(evidence.fields, context);
    if (!statementHash.equals(finding.statementHash)) throw refused("the quote is about another statement");
    checkFinding(finding, input);
    return {
      type: evidence.type,
      measurement: finding.measurement,
      madeAtMs: finding.madeAtMs,
      tcbStatus: finding.tcb?.status,
      advisories: finding.tcb?.advisories ?? [],
      raisedFloor: finding.tcb && keepFloor(evidence.type, finding.tcb, input.floor),
    };
  }
}

function standardVerifiers(): readonly EvidenceVerifier[] {
  return [simulatedVerifier(), tpmVerifier(), ...dcapVerifiers(), nitroVerifier()];
}

function checkFinding(finding: Finding, { measurement, policy, atMs }: EvidenceToJudge): void {
  if (finding.measurement !== measurement)
    throw refused(`the quote is by code of measurement ${finding.measurement}, not ${measurement}`);
  if (finding.madeAtMs > atMs + allowedClockSkewMs)
    throw refused(`it was made at ${timeText(finding.madeAtMs)}, after the transaction's time ${timeText(atMs)}`);
  const ageMs = atMs - finding.madeAtMs;
  if (ageMs > Number(policy.evidenceAgeSeconds) * 1000)
    throw refused(`it is ${Math.floor(ageMs / 1000)} s old, and the policy allows ${policy.evidenceAgeSeconds} s`);
  const status = finding.tcb?.status;
  if (status !== undefined && !policy.allowedTcbStatuses.includes(status))
    throw refused(`the platform's TCB status is ${status}, which the policy does not allow`);
}

function refused(message: string): EnclaveError {
  return new EnclaveError("BAD_EVIDENCE", message);
}
