import { create, toBinary } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import {
  MSPPrincipalSchema,
  MSPRoleSchema,
  type SignaturePolicy,
  SignaturePolicy_NOutOfSchema,
  type SignaturePolicyEnvelope,
  SignaturePolicyEnvelopeSchema,
  SignaturePolicySchema,
} from "../messages/generated/fabric/common_pb.ts";
import { ApplicationPolicySchema } from "../messages/generated/fabric/peer_pb.ts";
import { readMessage } from "./fabric-message.ts";
import type { Identity, Role } from "./membership.ts";

/** Policies of a channel's configuration that definitions refer to: a majority of the organisations, one peer of each. */
export const channelPolicies = {
  endorsement: "/Channel/Application/Endorsement",
  lifecycleEndorsement: "/Channel/Application/LifecycleEndorsement",
} as const;

const roleClassification = 0;
/** MSPRole's numbers. */
export const roleNumbers = { member: 0, admin: 1, client: 2, peer: 3, orderer: 4 } as const;
const maxDepth = 8;
const maxRules = 256;

/** What of an identity a policy looks at. */
export type Endorser = Pick<Identity, "mspId" | "role">;

/** protos.ApplicationPolicy: any `count` of the organisations, by one of their peers each. */
export function policyOf(count: number, mspIds: readonly string[], role: "peer" | "member" = "peer"): Buffer {
  if (!Number.isInteger(count) || count < 1 || count > mspIds.length)
    throw new RangeError(`${count} of ${mspIds.length} organisations cannot endorse`);
  const signedBy = (index: number) => create(SignaturePolicySchema, { type: { case: "signedBy", value: index } });
  const ofRole = (mspIdentifier: string) =>
    toBinary(MSPRoleSchema, create(MSPRoleSchema, { mspIdentifier, role: roleNumbers[role] }));
  const rules = mspIds.map((_, index) => signedBy(index));
  const anyOf = create(SignaturePolicy_NOutOfSchema, { n: count, rules });
  const envelope = create(SignaturePolicyEnvelopeSchema, {
    rule: create(SignaturePolicySchema, { type: { case: "nOutOf", value: anyOf } }),
    identities: mspIds.map((mspId) => create(MSPPrincipalSchema, { principal: ofRole(mspId) })),
  });
  return Buffer.from(
    toBinary(
      ApplicationPolicySchema,
      create(ApplicationPolicySchema, { type: { case: "signaturePolicy", value: envelope } }),
    ),
  );
}

/** protos.ApplicationPolicy: what the channel's configuration says under this name. */
export function policyReference(name: string): Buffer {
  const policy = create(ApplicationPolicySchema, { type: { case: "channelConfigPolicyReference", value: name } });
  return Buffer.from(toBinary(ApplicationPolicySchema, policy));
}

/** A policy, read. */
export class EndorsementPolicy {
  readonly #isSatisfied: (endorsers: readonly Endorser[]) => boolean;

  /**
   * @param policy - protos.ApplicationPolicy
   * @param mspIds - Of the channel's organisations
   * @throws EnclaveError MALFORMED: no such policy, a principal that is not a role, a rule out of range or too deep
   */
  constructor(policy: Uint8Array, mspIds: readonly string[]) {
    const { type } = readMessage(ApplicationPolicySchema, policy);
    if (type.case === "signaturePolicy") this.#isSatisfied = readEnvelope(type.value);
    else if (type.case === "channelConfigPolicyReference" && isChannelPolicy(type.value))
      this.#isSatisfied = (endorsers) => isMajority(endorsers, mspIds);
    else throw malformed("is neither a signature policy nor one of the channel's");
  }

  /** @param endorsers - Distinct identities whose signatures are verified; each counts for one principal at most. */
  isSatisfiedBy(endorsers: readonly Endorser[]): boolean {
    return this.#isSatisfied(endorsers);
  }

  /** Whether any number of each of these would satisfy it. Where not, no choice among them does. */
  canBeSatisfiedBy(endorsers: readonly Endorser[]): boolean {
    const kinds = new Map(endorsers.map(({ mspId, role }) => [`${mspId} ${role}`, { mspId, role }]));
    return this.#isSatisfied([...kinds.values()].flatMap((one) => Array.from({ length: maxRules }, () => one)));
  }

  /**
   * The fewest organisations one peer of each of which satisfies it, the earlier ones of `available` first; undefined where
   * not even all do.
   */
  fewestOf(available: readonly string[]): readonly string[] | undefined {
    for (let size = 1; size <= available.length; size++)
      for (const some of choices(available, size))
        if (this.#isSatisfied(some.map((mspId) => ({ mspId, role: "peer" })))) return some;
    return undefined;
  }
}

function readEnvelope({ rule, identities }: SignaturePolicyEnvelope): (endorsers: readonly Endorser[]) => boolean {
  if (rule === undefined) throw malformed("has no rule");
  const principals = identities.map(({ principalClassification, principal }) => {
    if (principalClassification !== roleClassification) throw malformed("has a principal that is not a role");
    const { mspIdentifier, role } = readMessage(MSPRoleSchema, principal);
    const name = Object.entries(roleNumbers).find(([, number]) => number === role)?.[0];
    if (name === undefined || mspIdentifier === "") throw malformed(`has a principal with role ${role}`);
    return { mspId: mspIdentifier, role: name as Role | "member" };
  });
  requireSound(rule, principals.length, 0, { rules: 0 });
  return (endorsers) => isMet(rule, principals, endorsers, new Set());
}

/** Fabric's own way: rules from the left, each signature for the first principal that it serves, what a failed rule took is free again. */
function isMet(
  { type }: SignaturePolicy,
  principals: readonly { readonly mspId: string; readonly role: Role | "member" }[],
  endorsers: readonly Endorser[],
  used: Set<number>,
): boolean {
  if (type.case === "signedBy") {
    const wanted = principals[type.value];
    const found = endorsers.findIndex(
      ({ mspId, role }, index) =>
        !used.has(index) && mspId === wanted?.mspId && (wanted.role === "member" || wanted.role === role),
    );
    if (found < 0) return false;
    used.add(found);
    return true;
  }
  if (type.case !== "nOutOf") return false;
  let met = 0;
  for (const rule of type.value.rules) {
    const tried = new Set(used);
    if (!isMet(rule, principals, endorsers, tried)) continue;
    met += 1;
    for (const index of tried) used.add(index);
  }
  return met >= type.value.n;
}

function requireSound({ type }: SignaturePolicy, principalCount: number, depth: number, seen: { rules: number }): void {
  seen.rules += 1;
  if (depth > maxDepth || seen.rules > maxRules) throw malformed("has too many rules");
  if (type.case === "signedBy") {
    if (type.value < 0 || type.value >= principalCount) throw malformed("names a principal that it does not have");
    return;
  }
  if (type.case !== "nOutOf") throw malformed("has an empty rule");
  const { n, rules } = type.value;
  // Nobody would have to sign.
  if (n < 1 || n > rules.length) throw malformed(`wants ${n} of ${rules.length}`);
  for (const rule of rules) requireSound(rule, principalCount, depth + 1, seen);
}

function isMajority(endorsers: readonly Endorser[], mspIds: readonly string[]): boolean {
  const signed = new Set(endorsers.filter(({ role }) => role === "peer").map(({ mspId }) => mspId));
  return 2 * mspIds.filter((mspId) => signed.has(mspId)).length > mspIds.length;
}

function isChannelPolicy(name: string): boolean {
  return Object.values(channelPolicies).some((one) => one === name);
}

function* choices(of: readonly string[], size: number): Generator<readonly string[]> {
  if (size === 0) {
    yield [];
    return;
  }
  for (const [index, first] of of.entries())
    for (const rest of choices(of.slice(index + 1), size - 1)) yield [first, ...rest];
}

function malformed(how: string): EnclaveError {
  return new EnclaveError("MALFORMED", `an endorsement policy ${how}`);
}
