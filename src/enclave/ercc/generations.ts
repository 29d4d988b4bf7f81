import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { type ChaincodeKeyState, ChaincodeKeyStateSchema } from "../messages/generated/fpc/ercc_pb.ts";
import {
  type GenerationRecord,
  GenerationRecordSchema,
  SignedCCKeyRegistrationMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import { ekHashOf, readProposal } from "../protocol/generation.ts";
import { readRegistration } from "../protocol/registration.ts";
import { type RecordReader, readRecord, recordNames, writeRecord } from "./records.ts";
import { type RegistryState, recordTypes } from "./registry-state.ts";

/** A generation that enclaves can be given: the active one, or the one that is proposed to follow it. */
export interface OpenGeneration {
  readonly number: bigint;
  readonly standing: "active" | "proposed";
  /** PEM. */
  readonly chaincodeEk: Uint8Array;
}

/** Undefined where no keys have been registered yet. */
export function findKeyState(state: RecordReader, chaincodeId: string): Promise<ChaincodeKeyState | undefined> {
  return readRecord(state, recordNames.keyState(chaincodeId), ChaincodeKeyStateSchema);
}

/** @throws EnclaveError NOT_FOUND: the chaincode has no keys yet */
export async function requireKeyState(state: RecordReader, chaincodeId: string): Promise<ChaincodeKeyState> {
  const keyState = await findKeyState(state, chaincodeId);
  if (keyState === undefined)
    throw new EnclaveError("NOT_FOUND", `${chaincodeId} has no keys yet: generate them first`);
  return keyState;
}

/** Writes a chaincode's key state with some of its fields changed. */
export async function changeKeyState(
  state: RegistryState,
  chaincodeId: string,
  before: ChaincodeKeyState,
  change: Partial<Pick<ChaincodeKeyState, "active" | "proposed" | "rotateAbove">>,
): Promise<void> {
  const { active, proposed, rotateAbove } = before;
  const after = create(ChaincodeKeyStateSchema, { active, proposed, rotateAbove, ...change });
  await writeRecord(state, recordNames.keyState(chaincodeId), ChaincodeKeyStateSchema, after);
}

/** @throws EnclaveError NOT_FOUND */
export async function requireActive(state: RecordReader, chaincodeId: string): Promise<OpenGeneration> {
  const { active } = await requireKeyState(state, chaincodeId);
  const chaincodeEk = await state.get(recordNames.chaincodeEk(chaincodeId));
  if (chaincodeEk === undefined) throw new EnclaveError("NOT_FOUND", `${chaincodeId} has no active chaincode key`);
  return { number: active, standing: "active", chaincodeEk };
}

/** The generation of this number where it is open, that is active or proposed. */
export async function findOpen(
  state: RecordReader,
  chaincodeId: string,
  number: bigint,
): Promise<OpenGeneration | undefined> {
  const keyState = await findKeyState(state, chaincodeId);
  if (keyState === undefined) return undefined;
  if (number === keyState.active) return await requireActive(state, chaincodeId);
  if (keyState.proposed === 0n || number !== keyState.proposed) return undefined;
  const { chaincodeEk } = readGenerationProposal(await requireGeneration(state, chaincodeId, number));
  return { number, standing: "proposed", chaincodeEk };
}

/** @throws EnclaveError NOT_FOUND */
export async function requireGeneration(
  state: RecordReader,
  chaincodeId: string,
  number: bigint,
): Promise<GenerationRecord> {
  const record = await readRecord(state, recordNames.generation(chaincodeId, number), GenerationRecordSchema);
  if (record === undefined) throw new EnclaveError("NOT_FOUND", `${chaincodeId} has no generation ${number}`);
  return record;
}

/** @throws EnclaveError NOT_FOUND: generation 1, which nobody proposes */
export function readGenerationProposal({ proposal }: GenerationRecord): ReturnType<typeof readProposal> {
  if (proposal === undefined) throw new EnclaveError("NOT_FOUND", "the first generation has no proposal");
  return readProposal(proposal);
}

export async function writeGeneration(
  state: RegistryState,
  chaincodeId: string,
  number: bigint,
  record: GenerationRecord,
): Promise<void> {
  await writeRecord(state, recordNames.generation(chaincodeId, number), GenerationRecordSchema, record);
}

/** Whether the enclave has registered that it holds exactly this generation. */
export async function hasRegistered(
  state: RecordReader,
  chaincodeId: string,
  enclaveId: string,
  { number, standing, chaincodeEk }: OpenGeneration,
): Promise<boolean> {
  const record =
    standing === "active"
      ? recordNames.provisioned(chaincodeId, enclaveId)
      : recordNames.confirmed(chaincodeId, number, enclaveId);
  const signed = await readRecord(state, record, SignedCCKeyRegistrationMessageSchema);
  if (signed === undefined) return false;
  const registered = readRegistration(signed);
  return registered.generation === number && Buffer.from(chaincodeEk).equals(registered.chaincodeEk);
}

/**
 * Ends a proposal: its record says so, for as long as the ledger lasts, and who had confirmed it has not any more. The key state is the
 * caller's to change.
 */
export async function endProposal(state: RegistryState, chaincodeId: string, number: bigint): Promise<void> {
  const record = await requireGeneration(state, chaincodeId, number);
  const confirmations: string[] = [];
  for await (const { attributes } of state.scan(recordTypes.confirmed, [chaincodeId, `${number}`]))
    confirmations.push(attributes[2] ?? "");
  const ended: GenerationRecord = { ...record, state: "abandoned", changedAtMs: BigInt(state.timestampMs) };
  await writeGeneration(state, chaincodeId, number, ended);
  const name = recordNames.abandoned(chaincodeId, number, ekHashOf(record.chaincodeEk));
  await writeRecord(state, name, GenerationRecordSchema, ended);
  for (const enclaveId of confirmations) await state.delete(recordNames.confirmed(chaincodeId, number, enclaveId));
}
