import { EnclaveError } from "../errors.ts";
import type { Policy } from "../messages/generated/fpc/policy_pb.ts";
import { allowsExport, mayInherit } from "../protocol/policy.ts";
import { isRevoked, type RegisteredEnclave } from "./enclaves.ts";
import { findOpen, hasRegistered, type OpenGeneration, requireKeyState } from "./generations.ts";
import type { RegistryState } from "./registry-state.ts";

/** What the policy document says of these two, beyond step 19c. */
export async function checkAllowed(
  state: RegistryState,
  chaincodeId: string,
  sender: RegisteredEnclave,
  receiver: RegisteredEnclave,
  policy: Policy,
): Promise<void> {
  // The sender may be of the version before, which endorses nothing any more; but it must not be put out.
  if (await isRevoked(state, chaincodeId, sender.enclaveId.text))
    throw new EnclaveError("POLICY_DENIED", `the sender, enclave ${sender.enclaveId.text}, is revoked`);
  if (!mayInherit(policy, sender.ccParams, receiver.ccParams))
    throw new EnclaveError(
      "POLICY_DENIED",
      "the receiver is of another version or sequence, and not the policy's successor",
    );
  if (!allowsExport(policy, sender.mspId, receiver.mspId))
    throw new EnclaveError("POLICY_DENIED", `the policy has no export from ${sender.mspId} to ${receiver.mspId}`);
}

/** Steps 19e and 19f, and that no revocation has put an end to the generation. */
export async function checkGeneration(
  state: RegistryState,
  chaincodeId: string,
  senderId: string,
  number: bigint,
  chaincodeEk: Uint8Array,
): Promise<void> {
  const generation = await findOpen(state, chaincodeId, number);
  const claimed: OpenGeneration = { number, standing: generation?.standing ?? "active", chaincodeEk };
  if (!(await hasRegistered(state, chaincodeId, senderId, claimed)))
    throw new EnclaveError(
      "NOT_PROVISIONED",
      `enclave ${senderId} has not registered these keys as generation ${number}`,
    );
  if (generation === undefined || !Buffer.from(generation.chaincodeEk).equals(chaincodeEk))
    throw new EnclaveError("EK_MISMATCH", `generation ${number} of this key is neither the active one nor proposed`);
  const { rotateAbove } = await requireKeyState(state, chaincodeId);
  if (number <= rotateAbove)
    throw new EnclaveError("POLICY_DENIED", `a revoked enclave may hold generation ${number}: rotate the keys first`);
}
