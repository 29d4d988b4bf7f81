import { X509Certificate } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import {
  QueryChaincodeDefinitionArgsSchema,
  QueryChaincodeDefinitionResultSchema,
} from "../messages/generated/fabric/peer_pb.ts";
import { readChannelHash } from "./channel-hash.ts";
import type { ChaincodeDefinition, Creator, RecordName, RecordType, RegistryState } from "./registry-state.ts";

/** What is used of the stub that Fabric's shim gives to chaincode (fabric-shim, ChaincodeStub). */
export interface FabricStub {
  getTxID(): string;
  getChannelID(): string;
  getDateTimestamp(): Date;
  getCreator(): { readonly mspid: string; readonly idBytes: Uint8Array };
  /** Empty where there is none. */
  getState(key: string): Promise<Uint8Array>;
  putState(key: string, value: Uint8Array): Promise<void>;
  deleteState(key: string): Promise<void>;
  createCompositeKey(type: string, attributes: string[]): string;
  splitCompositeKey(key: string): { readonly objectType: string; readonly attributes: string[] };
  getStateByPartialCompositeKey(
    type: string,
    attributes: string[],
  ): AsyncIterable<{ readonly key: string; readonly value: Uint8Array }>;
  invokeChaincode(
    name: string,
    args: (string | Uint8Array)[],
    channelId: string,
  ): Promise<{ readonly status: number; readonly message?: string; readonly payload: Uint8Array }>;
}

/**
 * The state of ERCC within one transaction, over Fabric's stub. As everywhere in Fabric, a value that the transaction itself
 * has put is not read back: reads are of the state before it.
 */
export class FabricState implements RegistryState {
  readonly channelId: string;
  readonly txId: string;
  readonly timestampMs: number;
  readonly creator: Creator;
  readonly #stub: FabricStub;

  /** @throws EnclaveError UNAUTHORIZED: the creator has no X.509 certificate */
  constructor(stub: FabricStub) {
    this.#stub = stub;
    this.channelId = stub.getChannelID();
    this.txId = stub.getTxID();
    this.timestampMs = stub.getDateTimestamp().getTime();
    const { mspid, idBytes } = stub.getCreator();
    this.creator = { mspId: mspid, isAdmin: isAdmin(idBytes) };
  }

  async get(name: RecordName): Promise<Uint8Array | undefined> {
    return present(await this.#stub.getState(this.#key(name)));
  }

  async put(name: RecordName, value: Uint8Array): Promise<void> {
    // Fabric has no difference between an empty value and none.
    if (value.length === 0) throw new TypeError(`the record ${name.type} would be empty`);
    await this.#stub.putState(this.#key(name), value);
  }

  async delete(name: RecordName): Promise<void> {
    await this.#stub.deleteState(this.#key(name));
  }

  async *scan(
    type: RecordType,
    attributes: readonly string[],
  ): AsyncIterable<{ readonly attributes: readonly string[]; readonly value: Uint8Array }> {
    for (const attribute of attributes) checkAttribute(attribute);
    for await (const { key, value } of this.#stub.getStateByPartialCompositeKey(type, [...attributes]))
      yield { attributes: this.#stub.splitCompositeKey(key).attributes, value };
  }

  async definition(chaincodeId: string): Promise<ChaincodeDefinition | undefined> {
    const args = create(QueryChaincodeDefinitionArgsSchema, { name: chaincodeId });
    const answer = await this.#askLifecycle(
      "QueryChaincodeDefinition",
      toBinary(QueryChaincodeDefinitionArgsSchema, args),
    );
    if (answer === undefined) return undefined;
    const { version, sequence, validationParameter } = fromBinary(QueryChaincodeDefinitionResultSchema, answer);
    return { version, sequence, validationParameter };
  }

  channelHash(): Promise<Uint8Array> {
    return readChannelHash(this.#stub);
  }

  /** Undefined where it answers that the channel has no such chaincode: status 404, or a failed call that says so. */
  async #askLifecycle(query: string, args: Uint8Array): Promise<Uint8Array | undefined> {
    let answer: Awaited<ReturnType<FabricStub["invokeChaincode"]>>;
    try {
      answer = await this.#stub.invokeChaincode("_lifecycle", [query, args], this.channelId);
    } catch (error) {
      if (error instanceof Error && notDefined.test(error.message)) return undefined;
      throw error;
    }
    if (answer.status === 200) return answer.payload;
    if (answer.status === 404 || notDefined.test(answer.message ?? "")) return undefined;
    throw new Error(`_lifecycle answered ${query} with status ${answer.status}`);
  }

  #key({ type, attributes }: RecordName): string {
    for (const attribute of attributes) checkAttribute(attribute);
    return this.#stub.createCompositeKey(type, [...attributes]);
  }
}

const notDefined = /\bnamespace .* is not defined\b/;

/** Fabric builds a composite key of any text, so a U+0000 within an attribute would make it the key of another record. */
function checkAttribute(attribute: string): void {
  if (attribute === "" || attribute.includes("\u0000"))
    throw new EnclaveError("MALFORMED", "a name within a record's key is empty or has a zero character");
}

function present(value: Uint8Array): Uint8Array | undefined {
  return value.length === 0 ? undefined : value;
}

/** The roles that Fabric reads from a certificate's organisational units (NodeOUs under their default names). */
const roles: readonly string[] = ["admin", "client", "peer", "orderer"];

/** @param certificate - PEM */
function isAdmin(certificate: Uint8Array): boolean {
  let subject: object | undefined;
  try {
    subject = new X509Certificate(certificate).toLegacyObject().subject;
  } catch {
    throw new EnclaveError("UNAUTHORIZED", "the creator of the transaction has no X.509 certificate");
  }
  const units: unknown = subject === undefined ? undefined : (subject as { OU?: unknown }).OU;
  const held = (Array.isArray(units) ? units : [units]).filter((unit) => roles.includes(unit));
  // Fabric takes a certificate of two roles for invalid; so it is none of an admin here.
  return held.length === 1 && held[0] === "admin";
}
