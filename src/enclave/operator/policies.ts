import type { KeyObject } from "node:crypto";
import { clone, create } from "@bufbuild/protobuf";
import { type Policy, PolicySchema, SignedPolicySchema } from "../messages/generated/fpc/policy_pb.ts";
import { encode } from "../messages/strict.ts";
import { policyHash, signPolicy } from "../protocol/policy.ts";
import type { RegistryClient } from "./registry-client.ts";

/** Organisations' private policy keys. */
export type PolicySigners = ReadonlyMap<string, KeyObject>;

/** What of a policy the next one has otherwise. */
export type PolicyChange = Pick<Policy, "allowedVersions" | "successor">;

/** The document that follows one, unsigned. */
export function nextPolicy(before: Policy, { allowedVersions, successor }: PolicyChange): Policy {
  const next = clone(PolicySchema, before);
  next.number = before.number + 1n;
  next.previousPolicyHash = policyHash(before);
  next.allowedVersions = allowedVersions;
  if (successor === undefined) delete next.successor;
  else next.successor = successor;
  return next;
}

/**
 * Signs the document that follows the policy in force, and brings it into force.
 *
 * @throws EnclaveError BAD_SIGNATURE: fewer signers than the threshold of the policy in force, or others; CONFLICT or REPLAY: another
 *   policy came first; what ERCC refuses with
 */
export async function bringIntoForce(client: RegistryClient, policy: Policy, signers: PolicySigners): Promise<void> {
  const bytes = encode(PolicySchema, policy);
  const signatures = [...signers].map(([mspId, key]) => ({ mspId, signature: signPolicy(bytes, key) }));
  const signed = create(SignedPolicySchema, { policy: bytes, signatures });
  await client.submit("setPolicy", client.chaincodeId, encode(SignedPolicySchema, signed));
}
