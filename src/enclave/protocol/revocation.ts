import type { KeyObject } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import {
  type Policy,
  type PolicySignature,
  PolicySignatureSchema,
  type RevocationStatement,
  RevocationStatementSchema,
  type SignedRevocationStatement,
} from "../messages/generated/fpc/policy_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import { readEnclaveId } from "./enclave-id.ts";
import { checkChaincodeId, checkChannelId } from "./fields.ts";
import { checkSignatures } from "./policy.ts";
import { signMessage } from "./signing.ts";

/** People read it. */
export const maxReasonCharacters = 256;

/** @param statement - The bytes of the RevocationStatement. */
export function signRevocation(statement: Uint8Array, mspId: string, key: KeyObject): PolicySignature {
  return create(PolicySignatureSchema, { mspId, signature: signMessage("revocation", statement, key) });
}

/** What it says, whoever signed it. @throws EnclaveError MALFORMED, naming the field */
export function readRevocation(signed: SignedRevocationStatement): RevocationStatement {
  const statement = decodeStrict(RevocationStatementSchema, signed.statement, [
    "channel_id",
    "chaincode_id",
    "enclave_id",
    "reason",
    "policy_number",
  ]);
  checkChannelId(statement.channelId, "RevocationStatement.channel_id");
  checkChaincodeId(statement.chaincodeId, "RevocationStatement.chaincode_id");
  readEnclaveId(statement.enclaveId, "RevocationStatement.enclave_id");
  checkReason(statement.reason, "RevocationStatement.reason");
  return statement;
}

/**
 * @param policy - The one in force.
 * @throws EnclaveError MALFORMED; WRONG_CONTEXT: for another channel or chaincode; REPLAY: signed under another policy;
 *   BAD_SIGNATURE: of fewer organisations than the policy's threshold, of others, or a false one
 */
export function verifyRevocation(signed: SignedRevocationStatement, policy: Policy): RevocationStatement {
  const statement = readRevocation(signed);
  if (statement.channelId !== policy.channelId || statement.chaincodeId !== policy.chaincodeId)
    throw new EnclaveError("WRONG_CONTEXT", "the revocation is for another channel or chaincode");
  if (statement.policyNumber !== policy.number)
    throw new EnclaveError(
      "REPLAY",
      `the revocation was signed under another policy than ${policy.number}, which is in force`,
    );
  checkSignatures("revocation", signed.statement, signed.signatures, policy, policy.threshold);
  return statement;
}

/** @throws EnclaveError MALFORMED: empty, too long, or with control characters, which terminals obey */
export function checkReason(reason: string, name: string): void {
  if (reason.length > maxReasonCharacters || !/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+$/u.test(reason))
    throw new EnclaveError("MALFORMED", `${name} is not a text of 1 to ${maxReasonCharacters} characters in one line`);
}
