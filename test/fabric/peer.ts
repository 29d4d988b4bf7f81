import { common, peer } from "@hyperledger/fabric-protos";
import type { ChaincodeAnswer, ChaincodeCall } from "./chaincode-stream.ts";
import { type Definition, Definitions, namespace as lifecycle } from "./definitions.ts";
import { isMember, sha256, type TestIdentity, type TestOrganisation, verifySignature } from "./organisation.ts";
import { apply, Simulation, WorldState, type Write } from "./world-state.ts";

/** What a peer calls as chaincode: a service's stream, or one that tests play. */
export interface InstalledChaincode extends Disposable {
  execute(call: ChaincodeCall): Promise<ChaincodeAnswer>;
}

const chainQueries = "qscc";

type ProposalResponse = InstanceType<typeof peer.ProposalResponse>;

/** What a signed proposal says, once it is verified. */
interface Verified {
  readonly txId: string;
  readonly chaincode: string;
  readonly input: InstanceType<typeof peer.ChaincodeInput>;
  readonly hash: Buffer;
}

/**
 * One organisation's peer: it endorses what its chaincode services answer over its own copy of the state, and commits blocks.
 * The state of definitions is in the namespace `_lifecycle`, as in Fabric.
 */
export class TestPeer implements Disposable {
  readonly identity: TestIdentity;
  readonly channelId: string;
  readonly #organisations: readonly TestOrganisation[];
  readonly #chaincodes = new Map<string, InstalledChaincode>();
  #state = new WorldState();
  #height = 1;

  constructor(identity: TestIdentity, channelId: string, organisations: readonly TestOrganisation[]) {
    this.identity = identity;
    this.channelId = channelId;
    this.#organisations = organisations;
  }

  get state(): WorldState {
    return this.#state;
  }

  /** @returns The chaincode that was there, which is the caller's to close. */
  install(name: string, stream: InstalledChaincode): InstalledChaincode | undefined {
    const before = this.#chaincodes.get(name);
    this.#chaincodes.set(name, stream);
    return before;
  }

  /**
   * A refusal by chaincode is a response with its status and no endorsement.
   *
   * @throws Error what is wrong with the proposal
   */
  async endorse(signed: InstanceType<typeof peer.SignedProposal>): Promise<ProposalResponse> {
    const { txId, chaincode, input, hash } = this.#verify(signed);
    const simulation = new Simulation(this.#state);
    const definitions = new Definitions(simulation);
    if (chaincode === lifecycle || chaincode === chainQueries) {
      const response =
        chaincode === lifecycle
          ? definitions.invoke(lifecycle, input.getArgsList_asU8())
          : answerChainQuery(input.getArgsList_asU8(), this.channelId, this.#height);
      const answer = new peer.ProposalResponse();
      answer.setResponse(response);
      return answer;
    }
    const definition = definitions.get(chaincode);
    const stream = this.#chaincodes.get(chaincode);
    if (definition === undefined || stream === undefined)
      throw new Error(
        `make sure the chaincode ${chaincode} has been successfully defined on channel ${this.channelId}`,
      );
    const call: ChaincodeCall = {
      channelId: this.channelId,
      txId,
      input,
      proposal: signed,
      simulation,
      invoke: async (name, args) => {
        const called = this.#chaincodes.get(name);
        if (called === undefined || called === stream) return definitions.invoke(name, args);
        const calledInput = new peer.ChaincodeInput();
        calledInput.setArgsList([...args]);
        // What it reads and writes is of the same transaction.
        return (await called.execute({ ...call, input: calledInput })).response;
      },
    };
    const { response, event } = await stream.execute(call);
    const answer = new peer.ProposalResponse();
    answer.setVersion(1);
    answer.setResponse(response);
    if (response.getStatus() >= 400) return answer;
    const payload = toPayload(hash, simulation.toReadWriteSet(), response, event, chaincode, definition);
    answer.setPayload(payload);
    const endorsement = new peer.Endorsement();
    endorsement.setEndorser(this.identity.serialized);
    endorsement.setSignature(this.identity.signMessage(Buffer.concat([payload, this.identity.serialized])));
    answer.setEndorsement(endorsement);
    return answer;
  }

  /** Takes the writes of a transaction; the code for which it is invalid, or 0. */
  commit(readWriteSet: Uint8Array, block: number, transaction: number): number {
    const next = apply(this.#state, readWriteSet, { block, transaction });
    if (typeof next === "number") return next;
    this.#state = next;
    return 0;
  }

  /** A block is committed. */
  raise(height: number): void {
    this.#height = height;
  }

  commitDefinition(write: Write, block: number): void {
    this.#state = this.#state.with(lifecycle, [write], { block, transaction: 0 });
  }

  [Symbol.dispose](): void {
    for (const stream of this.#chaincodes.values()) stream[Symbol.dispose]();
  }

  #verify(signed: InstanceType<typeof peer.SignedProposal>): Verified {
    const proposal = peer.Proposal.deserializeBinary(signed.getProposalBytes_asU8());
    const header = common.Header.deserializeBinary(proposal.getHeader_asU8());
    const channel = common.ChannelHeader.deserializeBinary(header.getChannelHeader_asU8());
    const signature = common.SignatureHeader.deserializeBinary(header.getSignatureHeader_asU8());
    const creator = signature.getCreator_asU8();
    if (channel.getChannelId() !== this.channelId) throw new Error(`channel '${channel.getChannelId()}' not found`);
    if (!isMember(this.#organisations, creator)) throw new Error("access denied: the creator is of no organisation");
    if (!verifySignature(creator, signed.getProposalBytes_asU8(), signed.getSignature_asU8()))
      throw new Error("access denied: the creator's signature over the proposal is not valid");
    const txId = sha256(signature.getNonce_asU8(), creator).toString("hex");
    if (channel.getTxId() !== txId) throw new Error("incorrectly computed txid");
    const payload = peer.ChaincodeProposalPayload.deserializeBinary(proposal.getPayload_asU8());
    const spec = peer.ChaincodeInvocationSpec.deserializeBinary(payload.getInput_asU8()).getChaincodeSpec();
    const input = spec?.getInput();
    // Fabric's peers go by the header's extension; they do not look at the name beside the arguments.
    const extension = peer.ChaincodeHeaderExtension.deserializeBinary(channel.getExtension_asU8());
    const chaincode = extension.getChaincodeId()?.getName();
    if (input === undefined || chaincode === undefined) throw new Error("the proposal invokes no chaincode");
    payload.clearTransientmapMap();
    const hash = sha256(header.getChannelHeader_asU8(), header.getSignatureHeader_asU8(), payload.serializeBinary());
    return { txId, chaincode, input, hash };
  }
}

/** `qscc`, of which GetChainInfo alone is asked. */
function answerChainQuery(
  [query = new Uint8Array(), channel = new Uint8Array()]: readonly Uint8Array[],
  channelId: string,
  height: number,
): InstanceType<typeof peer.Response> {
  const response = new peer.Response();
  if (Buffer.from(query).toString() !== "GetChainInfo" || Buffer.from(channel).toString() !== channelId) {
    response.setStatus(500);
    response.setMessage("Requested function not found.");
    return response;
  }
  const info = new common.BlockchainInfo();
  info.setHeight(height);
  info.setCurrentblockhash(Buffer.alloc(32, 1));
  response.setStatus(200);
  response.setPayload(info.serializeBinary());
  return response;
}

/** protos.ProposalResponsePayload: what endorsers sign and clients compare. */
function toPayload(
  proposalHash: Uint8Array,
  results: Uint8Array,
  response: InstanceType<typeof peer.Response>,
  event: Uint8Array,
  chaincode: string,
  definition: Definition,
): Uint8Array {
  const action = new peer.ChaincodeAction();
  action.setResults(results);
  action.setEvents(event);
  action.setResponse(response);
  const id = new peer.ChaincodeID();
  id.setName(chaincode);
  id.setVersion(definition.version);
  action.setChaincodeId(id);
  const payload = new peer.ProposalResponsePayload();
  payload.setProposalHash(proposalHash);
  payload.setExtension$(action.serializeBinary());
  return payload.serializeBinary();
}
