import { fromBinary } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import {
  MSPRoleSchema,
  type SignaturePolicy,
  type SignaturePolicyEnvelope,
} from "../messages/generated/fabric/common_pb.ts";
import { ApplicationPolicySchema } from "../messages/generated/fabric/peer_pb.ts";

const roleClassification = 0;
/** Roles of MSPRole that a peer has: member, peer. */
const peerRoles: readonly number[] = [0, 3];
const maxDepth = 32;
const maxRules = 4096;

/** What a rule comes to: whether any set of signatures meets it, and whose signatures can be part of such a set. */
interface Contribution {
  readonly isSatisfiable: boolean;
  readonly organisations: ReadonlySet<string>;
}

const nobody: ReadonlySet<string> = new Set();

/**
 * The organisations whose peers' endorsements can count towards a chaincode's endorsement policy.
 *
 * @param validationParameter - protos.ApplicationPolicy of the chaincode's definition.
 * @throws EnclaveError POLICY_DENIED: it cannot be read, nothing satisfies it, or it is one of the channel's configuration
 *   (`/Channel/Application/Endorsement`), which names no organisation that chaincode could read
 */
export function endorsingOrganisations(validationParameter: Uint8Array): ReadonlySet<string> {
  const envelope = readEnvelope(validationParameter);
  const count = { rules: 0 };
  const { isSatisfiable, organisations } = contribution(envelope, envelope.rule, count, 0);
  if (!isSatisfiable) throw denied("no set of signatures satisfies it");
  return organisations;
}

function readEnvelope(bytes: Uint8Array): SignaturePolicyEnvelope {
  let policy: ReturnType<typeof fromBinary<typeof ApplicationPolicySchema>>;
  try {
    policy = fromBinary(ApplicationPolicySchema, bytes);
  } catch {
    throw denied("it is not an ApplicationPolicy");
  }
  if (policy.type.case === "channelConfigPolicyReference")
    throw denied(
      "it is one of the channel's configuration: define the chaincode with a policy that names organisations",
    );
  if (policy.type.case !== "signaturePolicy") throw denied("it is empty");
  return policy.type.value;
}

function contribution(
  envelope: SignaturePolicyEnvelope,
  rule: SignaturePolicy | undefined,
  count: { rules: number },
  depth: number,
): Contribution {
  count.rules += 1;
  if (rule === undefined || depth > maxDepth || count.rules > maxRules) throw denied("a rule is missing or too deep");
  if (rule.type.case === "signedBy") return principal(envelope, rule.type.value);
  if (rule.type.case !== "nOutOf") throw denied("a rule is of an unknown kind");
  const { n, rules } = rule.type.value;
  const parts = rules
    .map((part) => contribution(envelope, part, count, depth + 1))
    .filter((part) => part.isSatisfiable);
  if (parts.length < n) return { isSatisfiable: false, organisations: nobody };
  // Of a rule that is met by nobody's signature, none counts.
  if (n <= 0) return { isSatisfiable: true, organisations: nobody };
  return { isSatisfiable: true, organisations: new Set(parts.flatMap((part) => [...part.organisations])) };
}

function principal(envelope: SignaturePolicyEnvelope, index: number): Contribution {
  const identity = envelope.identities[index];
  if (identity === undefined) throw denied("a rule names an identity that is not there");
  // One that is told by its certificate or unit can sign, but no organisation follows from it.
  if (identity.principalClassification !== roleClassification) return { isSatisfiable: true, organisations: nobody };
  try {
    const { mspIdentifier, role } = fromBinary(MSPRoleSchema, identity.principal);
    return { isSatisfiable: true, organisations: peerRoles.includes(role) ? new Set([mspIdentifier]) : nobody };
  } catch {
    throw denied("an identity is not an MSPRole");
  }
}

function denied(why: string): EnclaveError {
  return new EnclaveError("POLICY_DENIED", `the chaincode's endorsement policy cannot be judged: ${why}`);
}
