import type { KeyObject } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { RevocationStatementSchema, SignedRevocationStatementSchema } from "../messages/generated/fpc/policy_pb.ts";
import { encode } from "../messages/strict.ts";
import { signRevocation } from "../protocol/revocation.ts";
import type { RegistryClient } from "./registry-client.ts";

/** An organisation puts an enclave of its own out. From then on the keys have to be rotated before anything is written. */
export async function revokeOwn(client: RegistryClient, enclaveId: string, reason: string): Promise<void> {
  await client.submit("revokeEnclave", client.chaincodeId, enclaveId, reason);
}

/**
 * Organisations put an enclave out whoever's it is, by a statement that as many of them sign as the policy asks for.
 *
 * @param signers - Private policy keys by organisation
 * @throws EnclaveError BAD_SIGNATURE: too few; what ERCC refuses with
 */
export async function revokeTogether(
  client: RegistryClient,
  enclaveId: string,
  reason: string,
  signers: ReadonlyMap<string, KeyObject>,
): Promise<void> {
  const { channelId, chaincodeId, number } = await client.policy();
  const statement = encode(
    RevocationStatementSchema,
    create(RevocationStatementSchema, {
      channelId,
      chaincodeId,
      enclaveId: Buffer.from(enclaveId, "hex"),
      reason,
      policyNumber: number,
    }),
  );
  const signatures = [...signers].map(([mspId, key]) => signRevocation(statement, mspId, key));
  const signed = create(SignedRevocationStatementSchema, { statement, signatures });
  await client.submit("revokeByStatement", chaincodeId, encode(SignedRevocationStatementSchema, signed));
}
