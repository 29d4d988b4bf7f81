import { createHash } from "node:crypto";
import { invokeTransaction } from "../chaincode/invoke.ts";
import { type CallersProposal, readSignedProposal } from "../chaincode/signed-proposal.ts";
import { type ChaincodeDefinition, recordTypes } from "../ercc/registry-state.ts";
import { EnclaveError } from "../errors.ts";
import { EndorsementPolicy } from "../ledger/signature-policy.ts";
import { decodeArgument, decodeBase64 } from "../messages/argument.ts";
import { ChaincodeKeyStateSchema } from "../messages/generated/fpc/ercc_pb.ts";
import {
  ChaincodeRequestMessageSchema,
  type ChaincodeResponseMessage,
  CredentialsSchema,
  type FPCKVSet,
  FPCKVSetSchema,
  SignedChaincodeResponseMessageSchema,
} from "../messages/generated/fpc/fpc_pb.ts";
import { encode } from "../messages/strict.ts";
import { readCredentials } from "../protocol/attested-data.ts";
import { readResponse, verifyResponse } from "../protocol/chaincode-response.ts";
import { appliedKey, commitHashOf } from "../protocol/held-answer.ts";
import { requestHashOf } from "../protocol/request-encryption.ts";
import { generationOfState } from "../protocol/state-encryption.ts";

/** Name of the transaction by which peers take over what enclaves answered; its arguments are their signed responses in base64. */
export const endorseTransaction = "__endorse";

const maxResponses = 16;

/** What the private chaincode's part outside the enclave has to go by within one transaction, on every peer alike. */
export interface EndorsementState {
  readonly channelId: string;
  readonly chaincodeId: string;
  /** msp.SerializedIdentity of who proposed this transaction. */
  readonly creator: Uint8Array;
  get(key: string): Promise<Uint8Array | undefined>;
  put(key: string, value: Uint8Array): Promise<void>;
  delete(key: string): Promise<void>;
  definition(chaincodeId: string): Promise<ChaincodeDefinition | undefined>;
  /** Calls ERCC on the same channel. */
  registry(transaction: string, args: readonly string[]): Promise<string>;
}

/**
 * Validates the answers of enclaves to one request and applies what they wrote (upstream's `__endorse`). The answers must be of
 * distinct enclaves that hold the chaincode's keys and may endorse, whose organisations together meet the chaincode's
 * endorsement policy; say the same read and write set for the same proposal, made by the same client who proposes this
 * transaction; rest on what this peer's state holds; and not have been applied before.
 *
 * @returns The first answer's encrypted response, base64
 * @throws EnclaveError MALFORMED, WRONG_CONTEXT, UNAUTHORIZED, NOT_REGISTERED, NOT_PROVISIONED, POLICY_DENIED, BAD_SIGNATURE,
 *   REPLAY, CONFLICT: a value has changed since an enclave read it; POLICY_DENIED also for values under a generation of the keys
 *   that is not the one in force
 */
export async function endorseResponses(state: EndorsementState, responses: readonly string[]): Promise<string> {
  if (responses.length === 0 || responses.length > maxResponses)
    throw new EnclaveError("MALFORMED", `${endorseTransaction} takes from 1 to ${maxResponses} signed responses`);
  const signed = responses.map((text) =>
    decodeArgument(SignedChaincodeResponseMessageSchema, text, ["chaincode_response_message", "signature"]),
  );
  const messages = signed.map(readResponse);
  const [first] = messages as [ChaincodeResponseMessage, ...ChaincodeResponseMessage[]];
  const proposal = readProposal(state, first);
  const requestHash = requestHashOf(
    decodeBase64(Buffer.from(proposal.args[1] ?? []).toString("utf8"), ChaincodeRequestMessageSchema.name),
  );
  const organisations: string[] = [];
  for (const [index, message] of messages.entries()) {
    if (messages.findIndex(({ enclaveId }) => enclaveId === message.enclaveId) !== index)
      throw new EnclaveError("MALFORMED", `enclave ${message.enclaveId} answers twice`);
    requireAlike(first, message);
    const { vkPem, mspId } = await endorsingEnclave(state, message.enclaveId);
    const response = signed[index];
    if (response !== undefined) verifyResponse(response, vkPem, requestHash);
    organisations.push(mspId);
  }
  await requirePolicyMet(state, organisations);
  await requireActiveGeneration(state, first.fpcRwSet);
  const applied = appliedKey(proposal.txId);
  if ((await state.get(applied)) !== undefined)
    throw new EnclaveError("REPLAY", `the answers to proposal ${proposal.txId} are applied already`);
  const { proposal: signedProposal, fpcRwSet } = first;
  if (signedProposal === undefined || fpcRwSet === undefined)
    throw new EnclaveError("MALFORMED", "ChaincodeResponseMessage.fpc_rw_set is missing or empty");
  const commitHash = commitHashOf(signedProposal.proposalBytes, fpcRwSet);
  await apply(state, fpcRwSet);
  // By this record enclaves know of the commit, and release the answers to what was applied, and to nothing else.
  await state.put(applied, commitHash);
  return Buffer.from(first.encryptedResponse).toString("base64");
}

function readProposal(state: EndorsementState, message: ChaincodeResponseMessage): CallersProposal {
  if (message.proposal === undefined)
    throw new EnclaveError("MALFORMED", "ChaincodeResponseMessage.proposal is missing or empty");
  const proposal = readSignedProposal(message.proposal);
  if (proposal.channelId !== state.channelId || proposal.chaincode !== state.chaincodeId)
    throw new EnclaveError(
      "WRONG_CONTEXT",
      `the answer is to a proposal for chaincode ${proposal.chaincode} of channel ${proposal.channelId}`,
    );
  if (Buffer.from(proposal.args[0] ?? []).toString("utf8") !== invokeTransaction || proposal.args.length !== 2)
    throw new EnclaveError(
      "WRONG_CONTEXT",
      `the answer is to a proposal of another transaction than ${invokeTransaction}`,
    );
  // Peers know the creator of this transaction for a member of the channel; of the proposal within they know no more than this.
  if (!Buffer.from(proposal.creator).equals(state.creator))
    throw new EnclaveError("UNAUTHORIZED", "the answer is to a proposal of another client");
  return proposal;
}

function requireAlike(first: ChaincodeResponseMessage, other: ChaincodeResponseMessage): void {
  const isSame =
    first.proposal !== undefined &&
    other.proposal !== undefined &&
    Buffer.from(first.proposal.proposalBytes).equals(other.proposal.proposalBytes) &&
    bytesOf(first.fpcRwSet).equals(bytesOf(other.fpcRwSet));
  if (!isSame)
    throw new EnclaveError(
      "CONFLICT",
      `enclaves ${first.enclaveId} and ${other.enclaveId} answer different proposals, or read or wrote different values`,
      { hint: "ask both again: one of their peers may have been behind" },
    );
}

function bytesOf(set: FPCKVSet | undefined): Buffer {
  return set === undefined ? Buffer.alloc(0) : encode(FPCKVSetSchema, set);
}

async function endorsingEnclave(state: EndorsementState, enclaveId: string) {
  const credentials = await state.registry("queryEnclaveCredentials", [state.chaincodeId, enclaveId]);
  if (credentials === "") throw new EnclaveError("NOT_REGISTERED", `enclave ${enclaveId} is not registered`);
  if ((await state.registry("queryState", [recordTypes.provisioned, state.chaincodeId, enclaveId])) === "")
    throw new EnclaveError("NOT_PROVISIONED", `enclave ${enclaveId} does not hold the chaincode's keys`);
  if ((await state.registry("canEndorse", [state.chaincodeId, enclaveId])) !== "true")
    throw new EnclaveError("POLICY_DENIED", `enclave ${enclaveId} may not endorse for ${state.chaincodeId}`);
  return readCredentials(decodeArgument(CredentialsSchema, credentials));
}

async function requirePolicyMet(state: EndorsementState, organisations: readonly string[]): Promise<void> {
  const definition = await state.definition(state.chaincodeId);
  if (definition === undefined)
    throw new EnclaveError("NOT_FOUND", `the channel has no chaincode ${state.chaincodeId}`);
  const policy = new EndorsementPolicy(definition.validationParameter, []);
  if (!policy.isSatisfiedBy(organisations.map((mspId) => ({ mspId, role: "peer" }))))
    throw new EnclaveError(
      "POLICY_DENIED",
      `enclaves of ${organisations.join(", ")} do not meet the chaincode's endorsement policy`,
      { hint: "have enclaves of more organisations answer" },
    );
}

/**
 * An answer may have been kept back since before a rotation or a revocation: what lies under a former generation's key opens to
 * whoever was put out with it, so it is not applied any more.
 */
async function requireActiveGeneration(state: EndorsementState, set: FPCKVSet | undefined): Promise<void> {
  const values = (set?.rwSet?.writes ?? []).filter(({ isDelete }) => !isDelete).map(({ value }) => value);
  if (values.length === 0) return;
  const record = await state.registry("queryState", [recordTypes.keyState, state.chaincodeId]);
  if (record === "") throw new EnclaveError("NOT_PROVISIONED", `${state.chaincodeId} has no keys yet`);
  const text = decodeBase64(record, "the answer to queryState").toString("latin1");
  const { active, rotateAbove } = decodeArgument(ChaincodeKeyStateSchema, text);
  for (const value of values) {
    const number = generationOfState(value);
    if (number !== active || number <= rotateAbove)
      throw new EnclaveError("POLICY_DENIED", `the answer writes under generation ${number}, which is not in force`, {
        hint: "make the request again; where an enclave was revoked, rotate the keys first",
      });
  }
}

/** Reads everything before it writes anything. */
async function apply(state: EndorsementState, set: FPCKVSet | undefined): Promise<void> {
  const { reads = [], writes = [], rangeQueriesInfo = [] } = set?.rwSet ?? {};
  const hashes = set?.readValueHashes ?? [];
  if (reads.length !== hashes.length || rangeQueriesInfo.length > 0)
    throw new EnclaveError(
      "MALFORMED",
      "FPCKVSet.read_value_hashes does not go with its reads, or it has range queries",
    );
  for (const [index, { key }] of reads.entries()) {
    requirePlainKey(key);
    const hash = createHash("sha256")
      .update((await state.get(key)) ?? new Uint8Array())
      .digest();
    if (!hash.equals(hashes[index] ?? new Uint8Array()))
      throw new EnclaveError(
        "CONFLICT",
        "a value has changed since the enclave read it, or was never what its host said",
        {
          hint: "make the request again",
        },
      );
  }
  for (const { key, isDelete, value } of writes) {
    requirePlainKey(key);
    if (isDelete) await state.delete(key);
    else await state.put(key, value);
  }
}

/** Composite keys are this code's own. */
function requirePlainKey(key: string): void {
  if (key === "" || key.startsWith("\u0000"))
    throw new EnclaveError("MALFORMED", "KVRWSet has a key that is empty, or is a composite one");
}
