import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { decodeArgument, encodeArgument } from "../messages/argument.ts";
import { type RecordName, type RecordType, type RegistryState, recordTypes } from "./registry-state.ts";

/** Enough of the state to read records. */
export type RecordReader = Pick<RegistryState, "get">;

/** Names of ERCC's records. Enclave ids are upper-case hexadecimal, generations decimal. */
export const recordNames = {
  chaincodeEk: (chaincodeId: string) => name(recordTypes.chaincodeEk, chaincodeId),
  credentials: (chaincodeId: string, enclaveId: string) => name(recordTypes.credentials, chaincodeId, enclaveId),
  provisioned: (chaincodeId: string, enclaveId: string) => name(recordTypes.provisioned, chaincodeId, enclaveId),
  announced: (chaincodeId: string, receiverId: string, senderId: string) =>
    name(recordTypes.announced, chaincodeId, receiverId, senderId),
  exported: (chaincodeId: string, receiverId: string) => name(recordTypes.exported, chaincodeId, receiverId),
  exportEntry: (chaincodeId: string, receiverId: string) => name(recordTypes.exportEntry, chaincodeId, receiverId),
  keyState: (chaincodeId: string) => name(recordTypes.keyState, chaincodeId),
  generation: (chaincodeId: string, number: bigint) => name(recordTypes.generation, chaincodeId, `${number}`),
  abandoned: (chaincodeId: string, number: bigint, ekHash: Uint8Array) =>
    name(recordTypes.generation, chaincodeId, `${number}`, Buffer.from(ekHash).toString("hex").toUpperCase()),
  confirmed: (chaincodeId: string, number: bigint, enclaveId: string) =>
    name(recordTypes.confirmed, chaincodeId, `${number}`, enclaveId),
  revoked: (chaincodeId: string, enclaveId: string) => name(recordTypes.revoked, chaincodeId, enclaveId),
  recovery: (chaincodeId: string, number: bigint, issue = 1n) =>
    name(recordTypes.recovery, chaincodeId, `${number}`, ...later(issue)),
  released: (chaincodeId: string, receiverId: string, mspId: string, issue = 1n) =>
    name(recordTypes.released, chaincodeId, receiverId, mspId, ...later(issue)),
  policy: (chaincodeId: string, number?: bigint) =>
    number === undefined ? name(recordTypes.policy, chaincodeId) : name(recordTypes.policy, chaincodeId, `${number}`),
  floor: () => name(recordTypes.floor),
} as const;

/** The first issue of recovery shares has the name from when there was one of each generation. */
function later(issue: bigint): readonly string[] {
  return issue === 1n ? [] : [`${issue}`];
}

function name(type: RecordType, ...attributes: string[]): RecordName {
  return { type, attributes };
}

/** The message of a record; undefined where there is none. */
export async function readRecord<Desc extends DescMessage>(
  state: RecordReader,
  record: RecordName,
  schema: Desc,
): Promise<MessageShape<Desc> | undefined> {
  const value = await state.get(record);
  return value === undefined ? undefined : parseRecord(value, schema);
}

/** The message of a value as it lies on the ledger. */
export function parseRecord<Desc extends DescMessage>(value: Uint8Array, schema: Desc): MessageShape<Desc> {
  return decodeArgument(schema, Buffer.from(value).toString("latin1"));
}

/** What `read` gives; undefined where it finds its message MALFORMED: taken before there was a limit that it is beyond. */
export function whereWellFormed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof EnclaveError && error.code === "MALFORMED") return undefined;
    throw error;
  }
}

export async function writeRecord<Desc extends DescMessage>(
  state: Pick<RegistryState, "put">,
  record: RecordName,
  schema: Desc,
  message: MessageShape<Desc>,
): Promise<void> {
  await state.put(record, Buffer.from(encodeArgument(schema, message), "latin1"));
}

/** The text of a record as it lies on the ledger; empty where there is none. */
export async function readText(state: RecordReader, record: RecordName): Promise<string> {
  const value = await state.get(record);
  return value === undefined ? "" : Buffer.from(value).toString("latin1");
}
