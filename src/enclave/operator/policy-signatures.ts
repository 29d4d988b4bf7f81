import { create } from "@bufbuild/protobuf";
import * as z from "zod";
import { EnclaveError } from "../errors.ts";
import { type Policy, PolicySchema, SignedPolicySchema } from "../messages/generated/fpc/policy_pb.ts";
import { encode } from "../messages/strict.ts";
import { verificationKeyOf } from "../protocol/key-formats.ts";
import { policyHash, signPolicy } from "../protocol/policy.ts";
import type { Member } from "./member.ts";
import type { RegistryClient } from "./registry-client.ts";

const form = z.strictObject({
  mspId: z.string().min(1).max(128),
  /** SHA-256 of the policy's bytes, hexadecimal: which document was signed. */
  policyHash: z.string().regex(/^[0-9a-f]{64}$/),
  /** Base64. */
  signature: z.base64().min(1).max(256),
});

/** An organisation's signature of a policy document, as it goes to who brings the document into force. */
export type PolicySignatureText = z.output<typeof form>;

/**
 * Signs a policy document with the organisation's policy key.
 *
 * @throws EnclaveError WRONG_CONTEXT: the document is for another channel or chaincode; POLICY_DENIED: it does not name the organisation with
 *   this key; SETTINGS_INVALID: no key is at hand
 */
export function signDocument(member: Member, policy: Policy): PolicySignatureText {
  requireContext(member.client, policy);
  const { policyKey } = member.keys();
  const named = policy.organisations.find(({ mspId }) => mspId === member.mspId);
  if (policy.number === 1n && (named === undefined || !verificationKeyOf(policyKey).equals(named.policyKey)))
    throw new EnclaveError("POLICY_DENIED", `the policy does not name ${member.mspId} with the key at hand`);
  return {
    mspId: member.mspId,
    policyHash: policyHash(policy).toString("hex"),
    signature: signPolicy(encode(PolicySchema, policy), policyKey).toString("base64"),
  };
}

/** @param text - JSON. @throws EnclaveError MALFORMED; WRONG_CONTEXT: it is of another document */
export function readSignature(text: string, policy: Policy): PolicySignatureText {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Said below.
  }
  const result = form.safeParse(value);
  if (!result.success) throw new EnclaveError("MALFORMED", "this is no signature of a policy document");
  if (result.data.policyHash !== policyHash(policy).toString("hex"))
    throw new EnclaveError("WRONG_CONTEXT", `the signature of ${result.data.mspId} is of another document`);
  return result.data;
}

/** Brings a policy into force. @throws EnclaveError WRONG_CONTEXT; what ERCC refuses with: BAD_SIGNATURE, CONFLICT, REPLAY and others */
export async function setPolicy(
  client: RegistryClient,
  policy: Policy,
  signatures: readonly PolicySignatureText[],
): Promise<void> {
  requireContext(client, policy);
  const signed = create(SignedPolicySchema, {
    policy: encode(PolicySchema, policy),
    signatures: signatures.map(({ mspId, signature }) => ({ mspId, signature: Buffer.from(signature, "base64") })),
  });
  await client.submit("setPolicy", client.chaincodeId, encode(SignedPolicySchema, signed));
}

function requireContext({ connection, chaincodeId }: RegistryClient, policy: Policy): void {
  if (policy.channelId !== connection.channelId || policy.chaincodeId !== chaincodeId)
    throw new EnclaveError(
      "WRONG_CONTEXT",
      `the policy is for ${policy.chaincodeId} of channel ${policy.channelId}, not ${chaincodeId} of ${connection.channelId}`,
    );
}
