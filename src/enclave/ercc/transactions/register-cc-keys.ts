import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../errors.ts";
import { decodeArgument } from "../../messages/argument.ts";
import { ChaincodeKeyStateSchema } from "../../messages/generated/fpc/ercc_pb.ts";
import {
  type CCKeyRegistrationMessage,
  GenerationRecordSchema,
  type SignedCCKeyRegistrationMessage,
  SignedCCKeyRegistrationMessageSchema,
  SignedExportMessageSchema,
} from "../../messages/generated/fpc/key_dist_pb.ts";
import { readEnclaveId } from "../../protocol/enclave-id.ts";
import { readExport } from "../../protocol/export.ts";
import { checkHash } from "../../protocol/fields.ts";
import { readRegistration, verifyRegistration } from "../../protocol/registration.ts";
import { requireEndorser } from "../can-endorse.ts";
import { type RegisteredEnclave, requireEnclave } from "../enclaves.ts";
import {
  findKeyState,
  findOpen,
  hasRegistered,
  type OpenGeneration,
  readGenerationProposal,
  requireGeneration,
} from "../generations.ts";
import { readRecord, recordNames, writeRecord } from "../records.ts";
import { hasRecovered } from "../recovery-grant.ts";
import type { RegistryState } from "../registry-state.ts";
import {
  readChaincodeId,
  requireAdmin,
  requireOrganisation,
  type Transaction,
  type TransactionContext,
} from "../transaction.ts";

/**
 * registerCCKeys(chaincode, SignedCCKeyRegistrationMessage): steps 10a to 10j of the document. The first registration sets the
 * chaincode's key and makes generation 1 the active one; every other one says that an enclave holds the active generation, or
 * confirms the proposed one, and takes an export to that enclave, or its recovery, to have come before (decision 0601).
 */
export const registerCCKeys: Transaction = {
  parameters: ["chaincode", "SignedCCKeyRegistrationMessage"],
  async run(context, [chaincode, argument = ""]) {
    const { state, evidence } = context;
    requireAdmin(context);
    const chaincodeId = readChaincodeId(chaincode);
    const signed = decodeArgument(SignedCCKeyRegistrationMessageSchema, argument);
    const message = readRegistration(signed);
    checkHash(message.stateKeyCommitment, "CCKeyRegistrationMessage.state_key_commitment");
    const enclaveId = readEnclaveId(message.enclaveId, "CCKeyRegistrationMessage.enclave_id");
    const enclave = await requireEnclave(state, chaincodeId, enclaveId.text);
    requireOrganisation(context, enclave.mspId);
    verifyRegistration(signed, enclave.vkPem);
    await requireEndorser(state, evidence, chaincodeId, enclaveId.text);
    checkParameters(chaincodeId, enclave, message);

    const keyState = await findKeyState(state, chaincodeId);
    if (keyState === undefined) {
      await registerFirst(state, chaincodeId, enclave, signed, message);
      return "";
    }
    const generation = await findOpen(state, chaincodeId, message.generation);
    checkKey(message, generation, keyState.active);
    await checkCommitment(state, chaincodeId, message);
    await checkGrant(context, chaincodeId, enclave, generation);
    const { number, standing } = generation;
    const name =
      standing === "active"
        ? recordNames.provisioned(chaincodeId, enclaveId.text)
        : recordNames.confirmed(chaincodeId, number, enclaveId.text);
    await writeRecord(state, name, SignedCCKeyRegistrationMessageSchema, signed);
    return "";
  },
};

/** Step 10h: the chaincode that the credentials are of is the one that the caller names and the message was signed for. */
function checkParameters(
  chaincodeId: string,
  { ccParams, ccParamsHash }: RegisteredEnclave,
  message: CCKeyRegistrationMessage,
): void {
  if (ccParams.chaincodeId !== chaincodeId || !ccParamsHash.equals(message.ccParamsHash))
    throw new EnclaveError("WRONG_CONTEXT", "the registration is for another channel, chaincode, version or sequence");
}

async function registerFirst(
  state: RegistryState,
  chaincodeId: string,
  enclave: RegisteredEnclave,
  signed: SignedCCKeyRegistrationMessage,
  message: CCKeyRegistrationMessage,
): Promise<void> {
  if (message.generation !== 1n)
    throw new EnclaveError("WRONG_CONTEXT", `the chaincode's first keys are generation 1, not ${message.generation}`);
  // Read as well as written, so that of two first registrations in one block the second is in conflict.
  const chaincodeEk = await state.get(recordNames.chaincodeEk(chaincodeId));
  if (chaincodeEk !== undefined) throw new EnclaveError("ALREADY_SET", `${chaincodeId} has a chaincode key`);
  const atMs = BigInt(state.timestampMs);
  const record = create(GenerationRecordSchema, {
    state: "active",
    proposedAtMs: atMs,
    changedAtMs: atMs,
    confirmedBy: [enclave.enclaveId.bytes],
    chaincodeEk: message.chaincodeEk,
    stateKeyCommitment: message.stateKeyCommitment,
  });
  const keyState = create(ChaincodeKeyStateSchema, { active: 1n });
  await state.put(recordNames.chaincodeEk(chaincodeId), message.chaincodeEk);
  await writeRecord(state, recordNames.keyState(chaincodeId), ChaincodeKeyStateSchema, keyState);
  await writeRecord(state, recordNames.generation(chaincodeId, 1n), GenerationRecordSchema, record);
  const provisioned = recordNames.provisioned(chaincodeId, enclave.enclaveId.text);
  await writeRecord(state, provisioned, SignedCCKeyRegistrationMessageSchema, signed);
}

/** Step 10i, where a key is set: it has to be the one of the generation that the message names. */
function checkKey(
  { generation: number, chaincodeEk }: CCKeyRegistrationMessage,
  generation: OpenGeneration | undefined,
  active: bigint,
): asserts generation is OpenGeneration {
  if (generation !== undefined && Buffer.from(generation.chaincodeEk).equals(chaincodeEk)) return;
  if (number === 1n)
    throw new EnclaveError(
      "ALREADY_SET",
      "the chaincode has a key: import it, and discard the one that was generated",
      {
        hint: "strongroom fpc keys generate --discard drops it; then have the chaincode's exported to this enclave, and import them",
      },
    );
  if (generation === undefined)
    throw new EnclaveError("EK_MISMATCH", `generation ${number} is neither the active one, ${active}, nor proposed`);
  throw new EnclaveError("EK_MISMATCH", `the ledger has another chaincode key for generation ${number}`);
}

/** The SEK, too, has to be the one of the first registration or the proposal: who was given another one is told here at the latest. */
async function checkCommitment(
  state: RegistryState,
  chaincodeId: string,
  { generation: number, stateKeyCommitment }: CCKeyRegistrationMessage,
): Promise<void> {
  const record = await requireGeneration(state, chaincodeId, number);
  if (!Buffer.from(stateKeyCommitment).equals(record.stateKeyCommitment))
    throw new EnclaveError("EK_MISMATCH", `the enclave holds another state key than that of generation ${number}`);
}

/** How the enclave came by the generation has to be on the ledger. It can say so once. */
async function checkGrant(
  { state }: TransactionContext,
  chaincodeId: string,
  { enclaveId }: RegisteredEnclave,
  generation: OpenGeneration,
): Promise<void> {
  const { number, standing } = generation;
  if (await hasRegistered(state, chaincodeId, enclaveId.text, generation))
    throw new EnclaveError("ALREADY_SET", `enclave ${enclaveId.text} has registered generation ${number} already`);
  if (await hasBeenExported(state, chaincodeId, enclaveId.text, generation)) return;
  if (standing === "proposed") {
    const { proposerEnclaveId } = readGenerationProposal(await requireGeneration(state, chaincodeId, number));
    if (enclaveId.bytes.equals(proposerEnclaveId)) return;
    throw new EnclaveError("NOT_PROVISIONED", `generation ${number} was not exported to enclave ${enclaveId.text}`);
  }
  if (await hasRecovered(state, chaincodeId, enclaveId.text, number)) return;
  throw new EnclaveError(
    "ALREADY_SET",
    `the chaincode has this key, and generation ${number} was not exported to enclave ${enclaveId.text}`,
  );
}

async function hasBeenExported(
  state: RegistryState,
  chaincodeId: string,
  enclaveId: string,
  generation: OpenGeneration,
): Promise<boolean> {
  const signed = await readRecord(state, recordNames.exported(chaincodeId, enclaveId), SignedExportMessageSchema);
  if (signed === undefined) return false;
  const exported = readExport(signed);
  return exported.generation === generation.number && Buffer.from(generation.chaincodeEk).equals(exported.chaincodeEk);
}
