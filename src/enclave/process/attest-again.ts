import { EnclaveError } from "../errors.ts";
import { type Credentials, CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { encode } from "../messages/strict.ts";
import { allowsVersion } from "../protocol/policy.ts";
import type { OpenEnclave } from "./open-enclave.ts";
import type { PolicyInForce } from "./policy-in-force.ts";

/**
 * Credentials anew, not as of creation: a newer quote of the same, or, with a sequence, of the same enclave for a chaincode's
 * definition that follows (step 12 of the document, decision 0624). It keeps its keys, and goes to the sequence that the policy
 * in force names for its own measurement, or that the ledger has it registered with; never back. The new sequence is sealed
 * before it is attested.
 *
 * @throws EnclaveError NOT_REGISTERED: credentials of its creation have to be on the ledger first; REPLAY: a lower sequence;
 *   POLICY_DENIED: not one that the policy names; STORE_FAILED; what the policy in force throws
 */
export async function attestAgain(
  enclave: OpenEnclave,
  policyInForce: PolicyInForce,
  sequence: bigint | undefined,
): Promise<Credentials> {
  if (sequence === undefined) return await enclave.identity.attest(enclave.parts.backend, false);
  const { ccParams } = enclave.identity.read;
  if (sequence < ccParams.sequence)
    throw new EnclaveError(
      "REPLAY",
      `this enclave is of sequence ${ccParams.sequence}, and goes back to none before it`,
      { hint: "strongroom fpc status shows the definition's sequence" },
    );
  if (sequence > ccParams.sequence) {
    await requireFollowing(enclave, policyInForce, sequence);
    await enclave.become(enclave.identity.withSequence(sequence));
  }
  const credentials = await enclave.identity.attest(enclave.parts.backend, false);
  await enclave.parts.host.storeCredentials(encode(CredentialsSchema, credentials));
  return credentials;
}

async function requireFollowing(enclave: OpenEnclave, policyInForce: PolicyInForce, sequence: bigint): Promise<void> {
  const { ccParams, enclaveId } = enclave.identity.read;
  const [registered, policy] = await Promise.all([enclave.ledger.credentials(enclaveId.text), policyInForce.read()]);
  // What is attested again is never of the creation, so nothing else could register it afterwards.
  if (registered === undefined)
    throw new EnclaveError(
      "NOT_REGISTERED",
      `enclave ${enclaveId.text} is not registered, so it attests nothing newer`,
      {
        hint: "register it as it was created, or create another enclave",
      },
    );
  // Sealed before the blob at hand was: the host has lost the newer blob, and the keys are the same.
  if (registered.ccParams.sequence === sequence) return;
  const { successor } = policy;
  const isNamed = successor?.version === ccParams.version && successor.sequence === sequence;
  if (!isNamed || !allowsVersion(policy, ccParams.version))
    throw new EnclaveError(
      "POLICY_DENIED",
      `policy ${policy.number} names no successor of sequence ${sequence} and this enclave's measurement`,
      { hint: "the organisations name it by their next policy (upgrade the chaincode)" },
    );
}
