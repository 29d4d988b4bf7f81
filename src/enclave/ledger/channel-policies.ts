import { create, toBinary } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { SignaturePolicyEnvelopeSchema } from "../messages/generated/fabric/common_pb.ts";
import {
  type ConfigGroup,
  type ConfigPolicy,
  ImplicitMetaPolicySchema,
} from "../messages/generated/fabric/config_pb.ts";
import { ApplicationPolicySchema } from "../messages/generated/fabric/peer_pb.ts";
import { readMessage } from "./fabric-message.ts";
import { roles } from "./membership.ts";
import { EndorsementPolicy } from "./signature-policy.ts";

const signature = 1;
const implicitMeta = 3;
const majority = 2;
const endorsement = "Endorsement";
/** As many as any policy that is read can ask for. */
const ofEachRole = 256;

/**
 * Demands that a channel's own policies are the ones that `EndorsementPolicy` takes them for: a majority of the organisations endorses chaincode and
 * definitions, each by one of its peers. Fabric's tools make them so. Under others, transactions would be judged here otherwise than by Fabric's peers.
 *
 * @param application - The group of the application's organisations
 * @param mspIdOf - Of an organisation's group
 * @throws EnclaveError MALFORMED
 */
export function requireUsualPolicies(
  application: ConfigGroup | undefined,
  mspIdOf: (group: ConfigGroup) => string,
): void {
  for (const name of [endorsement, "LifecycleEndorsement"])
    if (!isMajorityOfEndorsement(application?.policies[name]))
      throw unusual(`${name} is not a majority of the organisations' ${endorsement}`);
  const groups = Object.values(application?.groups ?? {});
  // A trial network has none: its organisations are what their certificates say.
  if (groups.every(({ policies }) => policies[endorsement] === undefined)) return;
  const mspIds = groups.map(mspIdOf);
  for (const group of groups) {
    const mspId = mspIdOf(group);
    if (!isOneOwnPeer(group.policies[endorsement], mspId, mspIds))
      throw unusual(`${endorsement} of ${mspId} is not one of its peers`);
  }
}

function isMajorityOfEndorsement(policy: ConfigPolicy | undefined): boolean {
  if (policy?.policy?.type !== implicitMeta) return false;
  const { subPolicy, rule } = readMessage(ImplicitMetaPolicySchema, policy.policy.value);
  return subPolicy === endorsement && rule === majority;
}

/** One own peer suffices, and without one nobody else does, however many they are. */
function isOneOwnPeer(policy: ConfigPolicy | undefined, mspId: string, mspIds: readonly string[]): boolean {
  if (policy?.policy?.type !== signature) return false;
  const value = readMessage(SignaturePolicyEnvelopeSchema, policy.policy.value);
  const asApplication = create(ApplicationPolicySchema, { type: { case: "signaturePolicy", value } });
  const read = new EndorsementPolicy(toBinary(ApplicationPolicySchema, asApplication), mspIds);
  const others = mspIds
    .flatMap((one) => roles.map((role) => ({ mspId: one, role })))
    .filter((one) => one.mspId !== mspId || one.role !== "peer")
    .flatMap((one) => Array.from({ length: ofEachRole }, () => one));
  return read.isSatisfiedBy([{ mspId, role: "peer" }]) && !read.isSatisfiedBy(others);
}

function unusual(how: string): EnclaveError {
  return new EnclaveError("MALFORMED", `a first block has a policy that is not followed: ${how}`);
}
