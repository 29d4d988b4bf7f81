import { create, toBinary } from "@bufbuild/protobuf";
import { invokeTransaction } from "../chaincode/invoke.ts";
import { type CalledStub, requireDirectCall } from "../ercc/direct-call.ts";
import { FabricState, type FabricStub } from "../ercc/fabric-state.ts";
import { EnclaveError, fromAbortText, toAbortText } from "../errors.ts";
import { SerializedIdentitySchema } from "../messages/generated/fabric/peer_pb.ts";
import { type EndorsementState, endorseResponses, endorseTransaction } from "./endorse.ts";
import { answerStateQuery } from "./state-queries.ts";

/** What is used of the shim's stub besides what the registry uses. */
export interface EndorsingStub extends FabricStub, CalledStub {}

/** protos.Response, as the shim takes one. */
export interface ShimResponse {
  readonly status: number;
  readonly message: string;
  readonly payload: Buffer;
}

/**
 * The part of a private chaincode that peers run, as a chaincode of Hyperledger Fabric: takes over what enclaves answered, and
 * tells enclaves and their hosts what is stored. It is no contract of fabric-contract-api, which has no transactions whose names begin
 * with an underscore; upstream's do.
 */
export class EndorsingFabricChaincode {
  readonly #name: string;
  readonly #registry: string;

  /**
   * @param name - Under which the channel knows the private chaincode; it takes nothing over for who called another one.
   * @param registry - ERCC's name on the channel.
   */
  constructor(name: string, registry: string) {
    this.#name = name;
    this.#registry = registry;
  }

  async Init(): Promise<ShimResponse> {
    return { status: 200, message: "", payload: Buffer.alloc(0) };
  }

  async Invoke(stub: EndorsingStub): Promise<ShimResponse> {
    try {
      return { status: 200, message: "", payload: Buffer.from(await this.#run(stub)) };
    } catch (error) {
      const message = error instanceof EnclaveError ? toAbortText(error) : String(error);
      return { status: 500, message, payload: Buffer.alloc(0) };
    }
  }

  async #run(stub: EndorsingStub): Promise<string> {
    const [transaction, ...args] = stub.getBufferArgs().map((arg) => Buffer.from(arg).toString("utf8"));
    if (transaction === endorseTransaction) {
      requireDirectCall(stub, this.#name);
      return await endorseResponses(this.#state(stub), args);
    }
    const told = await answerStateQuery((key) => stub.getState(key), transaction, args);
    if (told !== undefined) return told;
    if (transaction === invokeTransaction)
      throw new EnclaveError("NOT_FOUND", "this peer runs no enclave of the chaincode, only what takes answers over");
    throw new EnclaveError("MALFORMED", "the chaincode has no transaction of this name outside its enclaves");
  }

  #state(stub: EndorsingStub): EndorsementState {
    const { mspid, idBytes } = stub.getCreator();
    const registry = new FabricState(stub);
    return {
      channelId: stub.getChannelID(),
      chaincodeId: this.#name,
      creator: toBinary(SerializedIdentitySchema, create(SerializedIdentitySchema, { mspid, idBytes })),
      async get(key) {
        const value = await stub.getState(key);
        return value.length === 0 ? undefined : value;
      },
      put: (key, value) => stub.putState(key, value),
      delete: (key) => stub.deleteState(key),
      definition: (chaincodeId) => registry.definition(chaincodeId),
      registry: (transaction, args) => this.#askRegistry(stub, transaction, args),
    };
  }

  /** @throws EnclaveError what ERCC refused with */
  async #askRegistry(stub: EndorsingStub, transaction: string, args: readonly string[]): Promise<string> {
    const answer = await stub.invokeChaincode(this.#registry, [transaction, ...args], stub.getChannelID());
    if (answer.status === 200) return Buffer.from(answer.payload).toString("utf8");
    const message = answer.message ?? "";
    throw fromAbortText(message) ?? new Error(`${this.#registry} answered ${transaction} with status ${answer.status}`);
  }
}
