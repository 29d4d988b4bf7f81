import type { ChaincodeDefinition } from "../ercc/registry-state.ts";
import { EnclaveError } from "../errors.ts";
import { formatPolicy } from "../ledger/policy-text.ts";
import { EndorsementPolicy } from "../ledger/signature-policy.ts";
import type { Policy } from "../messages/generated/fpc/policy_pb.ts";

/** What an upgrade is to change; what is left out stays as it is defined. */
export interface UpgradeWish {
  /** protos.ApplicationPolicy. */
  readonly endorsement?: Uint8Array | undefined;
  /** The measurement of the enclaves to come. */
  readonly version?: string | undefined;
}

/** The definition that an upgrade leads to. */
export interface UpgradeTarget {
  readonly version: string;
  readonly sequence: bigint;
  /** protos.ApplicationPolicy. */
  readonly endorsement: Uint8Array;
}

/** What of an enclave tells whether it endorses under a definition. */
export interface KeyHolder {
  readonly mspId: string;
  /** Of the code that sealed it. */
  readonly version: string;
  /** As the ledger has it registered, or its sealed blob where that is of an earlier one. */
  readonly sequence: bigint;
  /** The ledger lists it as a holder of the active generation. */
  readonly isProvisioned: boolean;
}

/** An enclave at a host that can be told what to do. */
export interface HostedEnclave extends KeyHolder {
  /** Its name at the host. */
  readonly name: string;
  /** Upper-case hexadecimal. */
  readonly id: string;
}

export interface UpgradeState {
  readonly definition: ChaincodeDefinition;
  /** In force. */
  readonly policy: Policy;
  /** Registered, and not revoked. */
  readonly enclaves: readonly HostedEnclave[];
}

/** The steps in their order. Each is left out where the ledger shows that it is done. */
export type UpgradeStep = "successor" | "enclaves" | "definition" | "closing";

/**
 * Where an upgrade leads: to the next sequence, or to that of one that was begun and is to be gone on with; to the present one
 * where the definition is as it is wished already, and enclaves may have stayed behind.
 *
 * @throws EnclaveError CONFLICT: the policy names another successor, so another upgrade was begun
 */
export function targetOf(definition: ChaincodeDefinition, policy: Policy, wish: UpgradeWish): UpgradeTarget {
  const { version = definition.version, endorsement = definition.validationParameter } = wish;
  const { successor } = policy;
  if (successor !== undefined && successor.sequence > definition.sequence) {
    // Enclaves that have attested for it go back no more: it has to be finished.
    const isSaid = wish.endorsement !== undefined || wish.version !== undefined;
    if (isSaid && successor.version === version && successor.sequence === definition.sequence + 1n)
      return { version, sequence: successor.sequence, endorsement };
    throw new EnclaveError(
      "CONFLICT",
      `policy ${policy.number} names a successor of sequence ${successor.sequence} and measurement ${successor.version}: an upgrade to it was begun`,
      { hint: "finish that one: call it again with the words that it was called with" },
    );
  }
  const isSame = version === definition.version && isSamePolicy(endorsement, definition.validationParameter);
  return { version, sequence: isSame ? definition.sequence : definition.sequence + 1n, endorsement };
}

/** What is left to do, in order; nothing where all is as it is to be. */
export function planUpgrade(state: UpgradeState, target: UpgradeTarget): readonly UpgradeStep[] {
  const isDefined = hasTarget(state.definition, target);
  const behind = enclavesBehind(state.enclaves, target).length > 0;
  const steps: UpgradeStep[] = [];
  if (!namesSuccessor(state.policy, target) && (behind || !isDefined)) steps.push("successor");
  if (behind) steps.push("enclaves");
  if (!isDefined) steps.push("definition");
  if (steps.length > 0 || !isClosed(state.policy, target)) steps.push("closing");
  return steps;
}

export function namesSuccessor({ successor }: Policy, { version, sequence }: UpgradeTarget): boolean {
  return successor?.version === version && successor.sequence === sequence;
}

/** Whether the policy lets in no other code than the target's, and nothing after it. */
export function isClosed({ successor, allowedVersions }: Policy, { version }: UpgradeTarget): boolean {
  return successor === undefined && allowedVersions.length === 1 && allowedVersions[0] === version;
}

/** Whether the definition in force is the target. */
export function hasTarget(definition: ChaincodeDefinition, { version, sequence, endorsement }: UpgradeTarget): boolean {
  const isSame = isSamePolicy(endorsement, definition.validationParameter);
  return definition.version === version && definition.sequence === sequence && isSame;
}

/** Whether two endorsement policies say the same in the same words: Fabric's tools write them otherwise into bytes than this code does. */
function isSamePolicy(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.from(one).equals(Buffer.from(other)) || formatPolicy(one) === formatPolicy(other);
}

/**
 * Enclaves that an upgrade has to see to: of the target's code, which attest for its sequence; of other code with keys, in whose
 * place another is made at their host, and is not there yet or has no keys yet.
 */
export function enclavesBehind(enclaves: readonly HostedEnclave[], target: UpgradeTarget): readonly HostedEnclave[] {
  const nameOf = (name: string) => successorName(name, target.sequence);
  return enclaves.filter(({ mspId, name, version, sequence, isProvisioned }) => {
    if (version === target.version) return sequence < target.sequence;
    // Made in its place by this upgrade, or by one before it.
    const isSucceeded = enclaves.some(
      (one) =>
        one.isProvisioned && one.mspId === mspId && one.version === target.version && nameOf(one.name) === nameOf(name),
    );
    return isProvisioned && !isSucceeded;
  });
}

/** What the enclave is called at its host that takes the place of one of other code: up to 32 characters. */
export function successorName(name: string, sequence: bigint): string {
  const suffix = `-v${sequence}`;
  return `${name.replace(/-v[0-9]+$/, "").slice(0, 32 - suffix.length)}${suffix}`;
}

/**
 * That enclaves which hold the keys, and are of the target, meet its endorsement policy: nobody could call the chaincode else.
 *
 * @throws EnclaveError POLICY_DENIED
 */
export function requireEndorsers(enclaves: readonly KeyHolder[], target: UpgradeTarget): void {
  const ready = enclaves.filter(
    ({ version, sequence, isProvisioned }) =>
      isProvisioned && version === target.version && sequence === target.sequence,
  );
  const mspIds = ready.map(({ mspId }) => mspId);
  const policy = new EndorsementPolicy(target.endorsement, mspIds);
  if (policy.isSatisfiedBy(mspIds.map((mspId) => ({ mspId, role: "peer" })))) return;
  const who = mspIds.length === 0 ? "no enclave" : `only enclaves of ${[...new Set(mspIds)].join(", ")}`;
  throw new EnclaveError(
    "POLICY_DENIED",
    `${who} would hold the keys as of sequence ${target.sequence}, which does not meet ${formatPolicy(target.endorsement)}`,
    {
      hint: "create enclaves at more of its organisations and give them the keys; one whose organisation does not endorse yet gets none before a policy has it beside the others",
    },
  );
}

/** Whether it keeps one enclave behind, and no others: that is told, and the upgrade goes on. */
export function isOfOneEnclave(error: unknown): error is EnclaveError {
  const codes = ["UNSEAL_FAILED", "ENCLAVE_ENDED", "BAD_EVIDENCE", "CONFLICT", "KEY_MANAGER_REFUSED"];
  return error instanceof EnclaveError && codes.includes(error.code);
}
