import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../errors.ts";
import { decodeArgument } from "../../messages/argument.ts";
import { EvidenceFloorSchema } from "../../messages/generated/fpc/evidence_pb.ts";
import { type Credentials, CredentialsSchema } from "../../messages/generated/fpc/fpc_pb.ts";
import {
  type Policy,
  SignedPolicySchema,
  type TrustedLedgerParameters,
  TrustedLedgerParametersSchema,
} from "../../messages/generated/fpc/policy_pb.ts";
import { encode } from "../../messages/strict.ts";
import { readCredentials } from "../../protocol/attested-data.ts";
import { organisationOf } from "../../protocol/policy.ts";
import { checkDefinition, judgeEvidence } from "../can-endorse.ts";
import { findEnclave, isRevoked, type RegisteredEnclave, requirePolicy } from "../enclaves.ts";
import { type RecordReader, readRecord, recordNames, writeRecord } from "../records.ts";
import { requireAdmin, requireOrganisation, type Transaction, type TransactionContext } from "../transaction.ts";

/**
 * registerEnclave(Credentials): puts an enclave's credentials on the ledger (step 1 of the document), or newer evidence of one
 * that has them. Answers with the enclave's id. Checks in upstream's order, with its own between them.
 */
export const registerEnclave: Transaction = {
  parameters: ["Credentials"],
  async run(context, [argument = ""]) {
    requireAdmin(context);
    const credentials = decodeArgument(CredentialsSchema, argument, ["serialized_attested_data", "evidence"]);
    const { attestation, evidence } = credentials;
    const enclave: RegisteredEnclave = { ...readCredentials(credentials), attestation, evidence };
    const policy = await checkContext(context, enclave);
    const { raisedFloor } = await judgeEvidence(context.state, context.evidence, enclave, policy);
    requireOrganisation(context, enclave.mspId);
    if (organisationOf(policy, enclave.mspId) === undefined)
      throw new EnclaveError("POLICY_DENIED", `${enclave.mspId} is not among the policy's organisations`);
    await checkFormer(context, enclave);
    await put(context, enclave, credentials);
    if (raisedFloor !== undefined)
      await writeRecord(context.state, recordNames.floor(), EvidenceFloorSchema, raisedFloor);
    return enclave.enclaveId.text;
  },
};

/** That it was made for this channel, this chaincode, and to believe in the ledger that the policy describes. */
async function checkContext({ state }: TransactionContext, { attested, ccParams }: RegisteredEnclave): Promise<Policy> {
  if (ccParams.channelId !== state.channelId)
    throw new EnclaveError("WRONG_CONTEXT", `the enclave is for channel ${ccParams.channelId}, not ${state.channelId}`);
  if (!Buffer.from(await state.channelHash()).equals(attested.channelHash))
    throw new EnclaveError("WRONG_CONTEXT", `the enclave is for another channel of the name ${state.channelId}`);
  const definition = await state.definition(ccParams.chaincodeId);
  if (definition === undefined)
    throw new EnclaveError("NOT_FOUND", `the channel has no chaincode ${ccParams.chaincodeId}`);
  const policy = await requirePolicy(state, ccParams.chaincodeId);
  checkDefinition(ccParams, definition, policy);
  const expected = await expectedTrustedLedger(state, policy);
  if (!hashOf(expected).equals(attested.trustedLedgerHash) || expected.tlccMrenclave !== attested.tlccMrenclave)
    throw new EnclaveError("POLICY_DENIED", "the enclave believes in another ledger than the policy describes");
  return policy;
}

/** What enclaves have to believe: the policy says it, but for the hash of the first policy, which it cannot contain itself. */
async function expectedTrustedLedger(state: RecordReader, policy: Policy): Promise<TrustedLedgerParameters> {
  if (policy.trustedLedger === undefined)
    throw new EnclaveError("POLICY_DENIED", "the policy says nothing of the ledger that enclaves are to believe");
  const first = await readRecord(state, recordNames.policy(policy.chaincodeId, 1n), SignedPolicySchema);
  if (first === undefined) throw new EnclaveError("NOT_FOUND", "the ledger has no first policy");
  const firstPolicyHash = createHash("sha256").update(first.policy).digest();
  return create(TrustedLedgerParametersSchema, { ...policy.trustedLedger, firstPolicyHash });
}

function hashOf(parameters: TrustedLedgerParameters): Buffer {
  return createHash("sha256").update(encode(TrustedLedgerParametersSchema, parameters)).digest();
}

/** The first credentials come from the enclave's creation; what follows is of the same enclave, which attests again. */
async function checkFormer({ state }: TransactionContext, enclave: RegisteredEnclave): Promise<void> {
  const { attested, ccParams, enclaveId } = enclave;
  const former = await findEnclave(state, ccParams.chaincodeId, enclaveId.text);
  if (former === undefined) {
    if (attested.onCreation) return;
    throw new EnclaveError("NOT_REGISTERED", `enclave ${enclaveId.text} attests again, but was never registered`);
  }
  if (await isRevoked(state, ccParams.chaincodeId, enclaveId.text))
    throw new EnclaveError("POLICY_DENIED", `enclave ${enclaveId.text} is revoked`);
  if (attested.onCreation)
    throw new EnclaveError("ALREADY_SET", `enclave ${enclaveId.text} is registered: let it attest again`);
  const isSame =
    former.mspId === enclave.mspId &&
    former.ekPem.equals(enclave.ekPem) &&
    former.ccParams.version === ccParams.version;
  if (!isSame || ccParams.sequence < former.ccParams.sequence)
    throw new EnclaveError("WRONG_CONTEXT", `enclave ${enclaveId.text} is registered with other parameters or keys`);
}

async function put({ state }: TransactionContext, enclave: RegisteredEnclave, credentials: Credentials): Promise<void> {
  const name = recordNames.credentials(enclave.ccParams.chaincodeId, enclave.enclaveId.text);
  await writeRecord(state, name, CredentialsSchema, credentials);
}
