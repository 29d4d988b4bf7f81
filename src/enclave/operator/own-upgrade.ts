import { create } from "@bufbuild/protobuf";
import type { ChaincodeDefinition } from "../ercc/registry-state.ts";
import { EnclaveError } from "../errors.ts";
import { type Policy, SuccessorSchema } from "../messages/generated/fpc/policy_pb.ts";
import { queryDefinition } from "./definition.ts";
import type { Member } from "./member.ts";
import { nextPolicy } from "./policies.ts";
import { ownId, registerEnclave } from "./provisioning.ts";
import { chaincodeStatus } from "./status.ts";
import { checkEndorsement } from "./upgrade-checks.ts";
import {
  hasTarget,
  isOfOneEnclave,
  type KeyHolder,
  namesSuccessor,
  requireEndorsers,
  targetOf,
  type UpgradeTarget,
} from "./upgrade-plan.ts";

/** An enclave as the ledger has it; whose host it is at does not matter. */
export interface LedgerEnclave extends KeyHolder {
  /** Upper-case hexadecimal. */
  readonly id: string;
}

export interface OwnUpgradeState {
  readonly definition: ChaincodeDefinition;
  /** In force. */
  readonly policy: Policy;
  /** Registered, of the definition's version, and not revoked. */
  readonly enclaves: readonly LedgerEnclave[];
}

/** What an upgrade waits for, where several organisations work, each from its own place. */
export type UpgradeWait =
  /** The policy's organisations sign a document, up to its threshold, and one brings it into force. */
  | { readonly kind: "policy"; readonly document: Policy; readonly by: readonly string[]; readonly needed: number }
  /** Enclaves have to attest for the sequence, each by its organisation. */
  | { readonly kind: "enclaves"; readonly behind: readonly LedgerEnclave[] }
  /** The channel's organisations approve the definition, and one commits it, by Fabric's own tools. */
  | { readonly kind: "definition" };

export interface OwnUpgrade extends UpgradeTarget {
  /** Whether the channel has this definition already. */
  readonly isDefined: boolean;
  /** What this call did. */
  readonly done: readonly string[];
  /** Own enclaves that could not be seen to, and why. */
  readonly leftBehind: readonly string[];
  /** In the order in which it may be done; nothing where the upgrade is at its end. */
  readonly awaited: readonly UpgradeWait[];
}

export interface OwnUpgradeInput {
  /** protos.ApplicationPolicy. Left out: the one that is defined. */
  readonly endorsement?: Uint8Array | undefined;
  /** Whether the own host's enclaves can be told what to do. */
  readonly hasHost: boolean;
  /** Given the document that is to be signed, where there is one, before anything is done; what it throws ends the call. */
  readonly foreseen?: (document: Policy) => void;
  /** Told of each thing that was done. */
  readonly told?: (what: string) => void;
}

/** What an upgrade takes of an organisation's place. */
export type UpgradingMember = Pick<Member, "mspId" | "client" | "enclaves" | "enclaveNames" | "agent">;

/**
 * One organisation's part of step 12 of the document, for another endorsement policy: its enclaves attest for the definition's
 * next sequence once the policy document in force names it (decision 0624). What others have to do, or Fabric's own tools, is
 * told. Called again, here and at the others, it goes on by what the ledger has.
 *
 * @throws EnclaveError CONFLICT: another upgrade was begun; SETTINGS_INVALID, POLICY_DENIED: an endorsement policy that names others, that
 *   no peers meet or that enclaves with the keys do not; what ERCC or enclaves refuse with
 */
export async function upgradeOwn(member: UpgradingMember, input: OwnUpgradeInput): Promise<OwnUpgrade> {
  const state = await readState(member);
  const target = targetOf(state.definition, state.policy, { endorsement: input.endorsement });
  checkOwnUpgrade(state, target);
  const document = upgradeWaits(state, target, member.mspId).find((one) => one.kind === "policy")?.document;
  if (document !== undefined) input.foreseen?.(document);
  const [done, leftBehind]: [string[], string[]] = [[], []];
  const own = behindOf(state, target).filter(({ mspId }) => mspId === member.mspId);
  if (own.length > 0 && !input.hasHost)
    leftBehind.push('the own enclaves stay behind: the connection settings have no "host"');
  const isTurn = input.hasHost && own.length > 0 && namesSuccessor(state.policy, target);
  // Of those whose id is known, only enclaves that are behind are opened: another that is in use is no reason to tell of it.
  const others = [...member.enclaveNames()].filter(([id]) => !own.some((one) => one.id === id)).map(([, name]) => name);
  if (isTurn)
    for (const name of member.enclaves().filter((one) => !others.includes(one))) {
      try {
        const id = await attestFor(member, name, own, target.sequence);
        if (id === undefined) continue;
        const what = `enclave ${id} (${name}) has attested for sequence ${target.sequence}`;
        done.push(what);
        input.told?.(what);
      } catch (error) {
        if (!isOfOneEnclave(error)) throw error;
        leftBehind.push(`enclave ${name} stays behind: ${error.code}: ${error.message}`);
      }
    }
  const after = done.length === 0 ? state : await readState(member);
  const isDefined = hasTarget(after.definition, target);
  return { ...target, isDefined, done, leftBehind, awaited: upgradeWaits(after, target, member.mspId) };
}

/**
 * What is left, by what the ledger has.
 *
 * @param mspId - Whose enclaves, where they stayed behind a definition that is in force, are worth another policy document.
 */
export function upgradeWaits(state: OwnUpgradeState, target: UpgradeTarget, mspId: string): readonly UpgradeWait[] {
  const { definition, policy } = state;
  const isDefined = hasTarget(definition, target);
  const behind = behindOf(state, target);
  if (!namesSuccessor(policy, target)) {
    if (!isDefined || behind.some((one) => one.mspId === mspId)) return [documentOf(policy, target)];
    return policy.successor === undefined ? [] : [documentOf(policy, undefined)];
  }
  const waits: UpgradeWait[] = behind.length === 0 ? [] : [{ kind: "enclaves", behind }];
  if (isDefined) waits.push(documentOf(policy, undefined));
  else if (canEndorse(state, target)) waits.push({ kind: "definition" });
  return waits;
}

function documentOf(policy: Policy, successor: UpgradeTarget | undefined): UpgradeWait {
  const { allowedVersions, organisations, threshold } = policy;
  const named = successor && create(SuccessorSchema, { version: successor.version, sequence: successor.sequence });
  const document = nextPolicy(policy, { allowedVersions, successor: named });
  return { kind: "policy", document, by: organisations.map(({ mspId }) => mspId), needed: threshold };
}

/**
 * What can be known before anything is changed: afterwards there is no way back.
 *
 * @throws EnclaveError SETTINGS_INVALID, POLICY_DENIED, as {@link upgradeOwn}
 */
export function checkOwnUpgrade({ definition, policy, enclaves }: OwnUpgradeState, target: UpgradeTarget): void {
  if (hasTarget(definition, target)) return;
  checkEndorsement(
    target.endorsement,
    policy,
    policy.organisations.map(({ mspId }) => mspId),
  );
  const holders = enclaves.filter(({ isProvisioned }) => isProvisioned);
  // Before the first keys nobody endorses anything.
  if (holders.length === 0) return;
  requireEndorsers(
    holders.map((one) => ({ ...one, sequence: target.sequence })),
    target,
  );
}

function canEndorse({ enclaves }: OwnUpgradeState, target: UpgradeTarget): boolean {
  if (!enclaves.some(({ isProvisioned }) => isProvisioned)) return true;
  try {
    requireEndorsers(enclaves, target);
    return true;
  } catch (error) {
    if (error instanceof EnclaveError && error.code === "POLICY_DENIED") return false;
    throw error;
  }
}

function behindOf({ enclaves }: OwnUpgradeState, { sequence }: UpgradeTarget): readonly LedgerEnclave[] {
  return enclaves.filter((one) => one.sequence < sequence);
}

/** @returns The enclave's id; undefined where it is none of those that are behind */
async function attestFor(
  member: UpgradingMember,
  name: string,
  behind: readonly LedgerEnclave[],
  sequence: bigint,
): Promise<string | undefined> {
  await using agent = await member.agent(name);
  if (!agent.created) return undefined;
  const id = ownId(agent);
  if (!behind.some((one) => one.id === id)) return undefined;
  return await registerEnclave(member.client, await agent.attestAgain(sequence));
}

async function readState({ client }: UpgradingMember): Promise<OwnUpgradeState> {
  const [definition, policy, { enclaves, activeGeneration }] = await Promise.all([
    queryDefinition(client.connection, client.chaincodeId),
    client.policy(),
    chaincodeStatus(client),
  ]);
  return {
    definition,
    policy,
    enclaves: enclaves
      .filter(({ state, measurement }) => state !== "revoked" && measurement === definition.version)
      .map(({ id, mspId, measurement: version, sequence, generation }) => ({
        id,
        mspId,
        version,
        sequence: BigInt(sequence),
        isProvisioned: generation !== undefined && generation === activeGeneration,
      })),
  };
}
