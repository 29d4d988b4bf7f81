import { create } from "@bufbuild/protobuf";
import { invokeTransaction } from "../../chaincode/invoke.ts";
import { requireDirectCall } from "../../ercc/direct-call.ts";
import { FabricState } from "../../ercc/fabric-state.ts";
import { EnclaveError, toAbortText } from "../../errors.ts";
import { SignedProposalSchema } from "../../messages/generated/fabric/peer_pb.ts";
import { encode } from "../../messages/strict.ts";
import { EndorsingFabricChaincode, type EndorsingStub, type ShimResponse } from "../fabric-chaincode.ts";
import { agentCalls } from "./agent-calls.ts";

/** What is used of the shim's stub for a call of the chaincode: the proposal as the client signed it. */
export interface HostingStub extends EndorsingStub {
  /** protos.Proposal. */
  readonly proposal: { serializeBinary(): Uint8Array };
  getSignedProposal(): EndorsingStub extends { getSignedProposal(): infer Read }
    ? Read & { readonly signature: Uint8Array }
    : never;
}

export interface HostedChaincodeOptions {
  /** Under which the channel knows the private chaincode. */
  readonly name: string;
  /** ERCC's name on the channel. */
  readonly registry: string;
  /** The organisation of the peer that runs it: its admins command the enclave. */
  readonly mspId: string;
  readonly agent: AgentQuestions;
}

/** How the chaincode reaches the enclave's agent. Each throws what the agent or the enclave refuse with. */
export interface AgentQuestions {
  /** One of {@link agentCalls}. @returns As `callAgent` does */
  command(transaction: string, args: readonly string[]): Promise<string>;
  /** @param signedProposal - protos.SignedProposal. @returns SignedChaincodeResponseMessage in base64 */
  invoke(signedProposal: Uint8Array): Promise<string>;
}

/**
 * A private chaincode as a peer starts it: the part that every peer runs, and beside it the agent of the organisation's own enclave.
 * Clients ask it for answers (`__invoke`), and admins of the own organisation command the enclave (`__initEnclave`,
 * `__generateCCKeys` and so on), as in the diagram. These are queries: they write nothing to the ledger.
 */
export class HostedChaincode {
  readonly #options: HostedChaincodeOptions;
  readonly #endorsing: EndorsingFabricChaincode;

  constructor(options: HostedChaincodeOptions) {
    this.#options = options;
    this.#endorsing = new EndorsingFabricChaincode(options.name, options.registry);
  }

  Init(): Promise<ShimResponse> {
    return this.#endorsing.Init();
  }

  async Invoke(stub: HostingStub): Promise<ShimResponse> {
    const [transaction = "", ...args] = stub.getBufferArgs().map((arg) => Buffer.from(arg).toString("utf8"));
    if (transaction !== invokeTransaction && !Object.hasOwn(agentCalls, transaction))
      return this.#endorsing.Invoke(stub);
    try {
      const answer =
        transaction === invokeTransaction ? await this.#invoke(stub) : await this.#command(stub, transaction, args);
      return { status: 200, message: "", payload: Buffer.from(answer) };
    } catch (error) {
      const message = error instanceof EnclaveError ? toAbortText(error) : String(error);
      return { status: 500, message, payload: Buffer.alloc(0) };
    }
  }

  /** The enclave itself reads what the client signed, and for which chaincode. */
  async #invoke(stub: HostingStub): Promise<string> {
    const { signature } = stub.getSignedProposal();
    const signed = create(SignedProposalSchema, { proposalBytes: stub.proposal.serializeBinary(), signature });
    return await this.#options.agent.invoke(encode(SignedProposalSchema, signed));
  }

  async #command(stub: HostingStub, transaction: string, args: readonly string[]): Promise<string> {
    const { name, mspId, agent } = this.#options;
    requireDirectCall(stub, name);
    const { creator } = new FabricState(stub);
    if (agentCalls[transaction]?.isForClients) return await agent.command(transaction, args);
    if (!creator.isAdmin || creator.mspId !== mspId)
      throw new EnclaveError("UNAUTHORIZED", `only an admin of ${mspId} commands the enclave beside its peer`);
    return await agent.command(transaction, args);
  }
}
