import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { type RecordName, recordTypes } from "../ercc/registry-state.ts";
import { EnclaveError } from "../errors.ts";
import type { CommittedTransaction, LedgerConnection } from "../ledger/ledger.ts";
import { decodeArgument } from "../messages/argument.ts";
import { type ChaincodeKeyState, ChaincodeKeyStateSchema } from "../messages/generated/fpc/ercc_pb.ts";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import {
  type RevocationRecord,
  RevocationRecordSchema,
  type SignedRecoveryMessage,
  SignedRecoveryMessageSchema,
  type SignedReleasedShareMessage,
  SignedReleasedShareMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import { type Policy, SignedPolicySchema } from "../messages/generated/fpc/policy_pb.ts";
import { type ReadCredentials, readCredentials } from "../protocol/attested-data.ts";
import { readPolicy } from "../protocol/policy.ts";

export interface RegisteredEnclave extends ReadCredentials {
  /** fpc.Credentials, as they are on the ledger. */
  readonly credentials: Buffer;
}

/** ERCC of one chaincode, as one organisation's client sees it. What peers answer is their word; enclaves verify it for themselves. */
export class RegistryClient {
  readonly connection: LedgerConnection;
  /** ERCC's name on the channel. */
  readonly registry: string;
  readonly chaincodeId: string;

  constructor(connection: LedgerConnection, registry: string, chaincodeId: string) {
    this.connection = connection;
    this.registry = registry;
    this.chaincodeId = chaincodeId;
  }

  get mspId(): string {
    return this.connection.mspId;
  }

  /** @param args - Messages as bytes, which go as base64. @throws EnclaveError what ERCC refuses with, CONFLICT, LEDGER_UNAVAILABLE */
  submit(transaction: string, ...args: readonly (string | Uint8Array)[]): Promise<CommittedTransaction> {
    return this.connection.submit(this.registry, transaction, args.map(toArgument));
  }

  /** PEM of the active generation's EK; undefined where no keys are registered (step 2 of the document). */
  async chaincodeEncryptionKey(): Promise<Buffer | undefined> {
    const text = await this.#query("queryChaincodeEncryptionKey", this.chaincodeId);
    return text === "" ? undefined : Buffer.from(text, "base64");
  }

  /** Every enclave of the chaincode, revoked ones too (step 13). */
  async enclaves(): Promise<readonly RegisteredEnclave[]> {
    return (await this.#list("queryListEnclaveCredentials", this.chaincodeId)).map(readRegistered);
  }

  /** One enclave, whatever became of it; undefined where none of this id is registered. @param id - Upper-case hexadecimal */
  async enclave(id: string): Promise<RegisteredEnclave | undefined> {
    const text = await this.#query("queryEnclaveCredentials", this.chaincodeId, id);
    return text === "" ? undefined : ofId(readRegistered(text), id);
  }

  /** @throws EnclaveError NOT_FOUND */
  async requireEnclave(id: string): Promise<RegisteredEnclave> {
    const found = await this.enclave(id);
    if (found === undefined) throw new EnclaveError("NOT_FOUND", `${this.chaincodeId} has no enclave ${id}`);
    return found;
  }

  /** Whether the ledger lists an enclave as a holder of the keys. */
  async isProvisioned(id: string): Promise<boolean> {
    return (await this.record({ type: recordTypes.provisioned, attributes: [this.chaincodeId, id] })) !== undefined;
  }

  /** Whether an enclave may endorse for the chaincode as it is defined now (decision 0609). @param id - Upper-case hexadecimal */
  async canEndorse(id: string): Promise<boolean> {
    return (await this.#query("canEndorse", this.chaincodeId, id)) === "true";
  }

  /** Ids of the enclaves that hold the active generation and are not revoked. */
  provisioned(): Promise<readonly string[]> {
    return this.#list("queryListProvisionedEnclaves", this.chaincodeId);
  }

  async revocations(): Promise<readonly RevocationRecord[]> {
    const list = await this.#list("queryListRevokedEnclaves", this.chaincodeId);
    return list.map((text) => decodeArgument(RevocationRecordSchema, text));
  }

  keyState(): Promise<ChaincodeKeyState | undefined> {
    return this.#message(ChaincodeKeyStateSchema, "queryKeyState", this.chaincodeId);
  }

  /** Ids of the enclaves that have confirmed a proposed generation. */
  confirmations(generation: bigint): Promise<readonly string[]> {
    return this.#list("queryListConfirmations", this.chaincodeId, `${generation}`);
  }

  /** @param issue - From 1, in the order of the ledger. */
  recovery(generation: bigint, issue = 1n): Promise<SignedRecoveryMessage | undefined> {
    const numbers = [`${generation}`, `${issue}`];
    return this.#message(SignedRecoveryMessageSchema, "queryRecovery", this.chaincodeId, ...numbers);
  }

  /** What organisations released of their recovery shares to an enclave. @param receiverId - Upper-case hexadecimal */
  async releasedShares(receiverId: string): Promise<readonly SignedReleasedShareMessage[]> {
    const list = await this.#list("queryListReleasedShares", this.chaincodeId, receiverId);
    return list.map((text) => decodeArgument(SignedReleasedShareMessageSchema, text));
  }

  /** @param number - Left out: the policy in force. @throws EnclaveError NOT_FOUND */
  async policy(number?: bigint): Promise<Policy> {
    const numbers = number === undefined ? [] : [`${number}`];
    const signed = await this.#message(SignedPolicySchema, "queryPolicy", this.chaincodeId, ...numbers);
    if (signed === undefined)
      throw new EnclaveError("NOT_FOUND", `${this.chaincodeId} has no policy document on the channel`);
    return readPolicy(signed.policy);
  }

  /** The SignedExportMessage for an enclave (step 22). @throws EnclaveError NOT_FOUND */
  async keyExport(enclaveId: string): Promise<Buffer> {
    return Buffer.from(await this.#query("getKeyExport", this.chaincodeId, enclaveId), "base64");
  }

  /** A record as it is kept: the base64 text of its message, but for chaincode_ek, a PEM. Undefined where there is none. */
  async record({ type, attributes }: RecordName): Promise<Buffer | undefined> {
    const text = await this.#query("queryState", type, ...attributes);
    return text === "" ? undefined : Buffer.from(text, "base64");
  }

  async #query(transaction: string, ...args: readonly string[]): Promise<string> {
    return (await this.connection.evaluate(this.registry, transaction, args)).toString("utf8");
  }

  async #message<Desc extends DescMessage>(
    schema: Desc,
    transaction: string,
    ...args: readonly string[]
  ): Promise<MessageShape<Desc> | undefined> {
    const text = await this.#query(transaction, ...args);
    return text === "" ? undefined : decodeArgument(schema, text);
  }

  async #list(transaction: string, ...args: readonly string[]): Promise<readonly string[]> {
    const list: unknown = JSON.parse(await this.#query(transaction, ...args));
    if (!Array.isArray(list) || !list.every((one) => typeof one === "string"))
      throw new EnclaveError("MALFORMED", `${transaction} answered something that is not a list of texts`);
    return list;
  }
}

/** @param text - fpc.Credentials in base64 */
function readRegistered(text: string): RegisteredEnclave {
  const message = decodeArgument(CredentialsSchema, text);
  return { ...readCredentials(message), credentials: Buffer.from(text, "base64") };
}

function toArgument(argument: string | Uint8Array): string {
  return typeof argument === "string" ? argument : Buffer.from(argument).toString("base64");
}

/** @throws EnclaveError WRONG_CONTEXT: who was asked for one enclave's credentials gives another's */
export function ofId<T extends ReadCredentials>(credentials: T, id: string): T {
  if (credentials.enclaveId.text === id) return credentials;
  throw new EnclaveError(
    "WRONG_CONTEXT",
    `the credentials of enclave ${credentials.enclaveId.text} are shown for ${id}`,
  );
}
