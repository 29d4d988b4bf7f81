import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import * as z from "zod";
import { EnclaveError } from "../errors.ts";
import {
  type Policy,
  RevocationStatementSchema,
  SignedRevocationStatementSchema,
} from "../messages/generated/fpc/policy_pb.ts";
import { encode } from "../messages/strict.ts";
import { verificationKeyOf } from "../protocol/key-formats.ts";
import { organisationOf } from "../protocol/policy.ts";
import { checkReason, signRevocation } from "../protocol/revocation.ts";
import type { PolicySigners } from "./policies.ts";
import type { RegistryClient } from "./registry-client.ts";

const form = z.strictObject({
  mspId: z.string().min(1).max(128),
  /** SHA-256 of the statement's bytes, hexadecimal: which statement was signed. */
  statementHash: z.string().regex(/^[0-9a-f]{64}$/),
  /** Base64. */
  signature: z.base64().min(1).max(256),
});

/** An organisation's signature of a revocation, as it goes to who brings it to the ledger. */
export type RevocationSignatureText = z.output<typeof form>;

/** That an enclave is to be put out, as organisations sign it. */
export interface Revocation {
  /** The bytes of a RevocationStatement: the same for the same words under the same policy. */
  readonly statement: Uint8Array;
  /** In force, and named in the statement. */
  readonly policy: Policy;
}

/** An organisation puts an enclave of its own out. From then on the keys have to be rotated before anything is written. */
export async function revokeOwn(client: RegistryClient, enclaveId: string, reason: string): Promise<void> {
  await client.submit("revokeEnclave", client.chaincodeId, enclaveId, reason);
}

/**
 * @param enclaveId - Upper-case hexadecimal.
 * @throws EnclaveError MALFORMED: the reason; NOT_FOUND: no policy
 */
export async function revocationOf(client: RegistryClient, enclaveId: string, reason: string): Promise<Revocation> {
  checkReason(reason, "the reason");
  const policy = await client.policy();
  const { chaincodeId } = client;
  const { channelId } = client.connection;
  const { number: policyNumber } = policy;
  const named = { channelId, chaincodeId, enclaveId: Buffer.from(enclaveId, "hex"), reason, policyNumber };
  return { policy, statement: encode(RevocationStatementSchema, create(RevocationStatementSchema, named)) };
}

/**
 * Signs a revocation with organisations' policy keys.
 *
 * @throws EnclaveError POLICY_DENIED: the policy in force does not name an organisation with its key
 */
export function signRevocations(
  { statement, policy }: Revocation,
  signers: PolicySigners,
): readonly RevocationSignatureText[] {
  return [...signers].map(([mspId, key]) => {
    const named = organisationOf(policy, mspId);
    if (named === undefined || !verificationKeyOf(key).equals(named.policyKey))
      throw new EnclaveError("POLICY_DENIED", `policy ${policy.number} does not name ${mspId} with the key at hand`);
    const { signature } = signRevocation(statement, mspId, key);
    return { mspId, statementHash: hashOf(statement), signature: Buffer.from(signature).toString("base64") };
  });
}

/** @param text - JSON. @throws EnclaveError MALFORMED; WRONG_CONTEXT: it is of another enclave, reason or policy */
export function readRevocationSignature(text: string, { statement }: Revocation): RevocationSignatureText {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Said below.
  }
  const result = form.safeParse(value);
  if (!result.success)
    throw new EnclaveError("MALFORMED", "this is no signature of a revocation", {
      hint: "strongroom fpc keys revoke --sign prints one",
    });
  if (result.data.statementHash !== hashOf(statement))
    throw new EnclaveError(
      "WRONG_CONTEXT",
      `the signature of ${result.data.mspId} is of another revocation: of another enclave, reason or policy in force`,
      { hint: "have it signed anew, with the very words" },
    );
  return result.data;
}

/**
 * Organisations put an enclave out whoever's it is, by a statement that as many of them signed as the policy asks for.
 *
 * @throws EnclaveError BAD_SIGNATURE: too few; what ERCC refuses with
 */
export async function revokeTogether(
  client: RegistryClient,
  { statement }: Revocation,
  signatures: readonly RevocationSignatureText[],
): Promise<void> {
  const signed = create(SignedRevocationStatementSchema, {
    statement,
    signatures: signatures.map(({ mspId, signature }) => ({ mspId, signature: Buffer.from(signature, "base64") })),
  });
  await client.submit("revokeByStatement", client.chaincodeId, encode(SignedRevocationStatementSchema, signed));
}

function hashOf(statement: Uint8Array): string {
  return createHash("sha256").update(statement).digest("hex");
}
