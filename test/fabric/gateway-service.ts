import { createRequire } from "node:module";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  status,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import { common, gateway, google, orderer, peer } from "@hyperledger/fabric-protos";
import { reservePort } from "../reserved-ports.ts";
import type { TestChannel } from "./channel.ts";
import { organisationsOf } from "./definitions.ts";
import { type TlsCertificate, verifySignature } from "./organisation.ts";
import type { TestPeer } from "./peer.ts";

const { Any } = createRequire(import.meta.url)("google-protobuf/google/protobuf/any_pb.js");

type ProposalResponse = InstanceType<typeof peer.ProposalResponse>;
interface Detail {
  readonly mspId: string;
  readonly message: string;
}

/** A refusal as Fabric's gateway gives it: a gRPC status, and in its details what each peer said. */
class GatewayRefusal extends Error {
  readonly code: number;
  readonly details: readonly Detail[];

  constructor(code: number, message: string, details: readonly Detail[] = []) {
    super(message);
    this.code = code;
    this.details = details;
  }

  toServiceError(): { code: number; details: string; metadata: Metadata } {
    const error = new google.rpc.Status();
    error.setCode(this.code);
    error.setMessage(this.message);
    for (const { mspId, message } of this.details) {
      const detail = new gateway.ErrorDetail();
      detail.setAddress(`peer.${mspId}`);
      detail.setMspId(mspId);
      detail.setMessage(message);
      const any = new Any();
      any.pack(detail.serializeBinary(), "gateway.ErrorDetail");
      error.addDetails(any);
    }
    const metadata = new Metadata();
    if (this.details.length > 0) metadata.set("grpc-status-details-bin", Buffer.from(error.serializeBinary()));
    return { code: this.code, details: this.message, metadata };
  }
}

/**
 * The gateway service of one organisation's test peer (gateway.Gateway and protos.Deliver of Fabric 2.4 and later), so that the
 * real client of Fabric's gateway reaches the test channel.
 */
export class GatewayService implements AsyncDisposable {
  readonly address: string;
  readonly #server: Server;
  readonly #channel: TestChannel;
  readonly #peer: TestPeer;
  readonly #organisationsDown = new Set<string>();

  private constructor(channel: TestChannel, mspId: string, address: string) {
    this.address = address;
    this.#channel = channel;
    this.#peer = channel.peer(mspId);
    this.#server = new Server();
    this.#server.addService(gateway.GatewayService, {
      evaluate: unary((request: InstanceType<typeof gateway.EvaluateRequest>) => this.#evaluate(request)),
      endorse: unary((request: InstanceType<typeof gateway.EndorseRequest>) => this.#endorse(request)),
      submit: unary((request: InstanceType<typeof gateway.SubmitRequest>) => this.#submit(request)),
      commitStatus: unary((request: InstanceType<typeof gateway.SignedCommitStatusRequest>) => this.#status(request)),
      chaincodeEvents: (call: { destroy(error: Error): void }) =>
        call.destroy(new Error("no events of chaincode here")),
    });
    this.#server.addService(peer.DeliverService, {
      deliver: (call: DeliverCall) => this.#deliver(call),
      deliverFiltered: (call: DeliverCall) => call.end(),
      deliverWithPrivateData: (call: DeliverCall) => call.end(),
    });
  }

  /** @param tls - Without it, in clear. With `clientRoot`, clients have to show a certificate of that authority. */
  static async start(
    channel: TestChannel,
    mspId: string,
    tls?: TlsCertificate & { readonly clientRoot?: string },
  ): Promise<GatewayService> {
    const address = `127.0.0.1:${await reservePort()}`;
    const service = new GatewayService(channel, mspId, address);
    await new Promise<void>((resolve, reject) =>
      service.#server.bindAsync(
        address,
        tls === undefined ? ServerCredentials.createInsecure() : toCredentials(tls),
        (error) => (error === null ? resolve() : reject(error)),
      ),
    );
    return service;
  }

  /** An organisation whose peer this gateway does not reach. */
  loseOrganisation(mspId: string): void {
    this.#organisationsDown.add(mspId);
  }

  findOrganisations(): void {
    this.#organisationsDown.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
  }

  async #evaluate(request: InstanceType<typeof gateway.EvaluateRequest>): Promise<Serializable> {
    const answer = await this.#ask(
      this.#peer,
      signedProposalOf(request.getProposedTransaction()),
      "evaluate call to endorser returned error: ",
    );
    const response = new gateway.EvaluateResponse();
    response.setResult(answer.getResponse());
    return response;
  }

  async #endorse(request: InstanceType<typeof gateway.EndorseRequest>): Promise<Serializable> {
    const signed = signedProposalOf(request.getProposedTransaction());
    const wanted = request.getEndorsingOrganizationsList();
    const definition = this.#channel.definition(chaincodeOf(signed));
    const organisations = wanted.length > 0 ? wanted : organisationsOf(definition?.policy ?? new Uint8Array());
    const reached = this.#channel.peers.filter(
      ({ identity: { mspId } }) => organisations.includes(mspId) && !this.#organisationsDown.has(mspId),
    );
    if (reached.length === 0 || reached.length < wanted.length)
      throw new GatewayRefusal(
        status.FAILED_PRECONDITION,
        "no combination of peers can be derived which satisfy the endorsement policy",
      );
    const answers = await Promise.all(reached.map((each) => this.#ask(each, signed, "")));
    const payloads = new Set(answers.map((answer) => answer.getPayload_asB64()));
    if (payloads.size !== 1) throw new GatewayRefusal(status.ABORTED, "ProposalResponsePayloads do not match");
    const response = new gateway.EndorseResponse();
    response.setPreparedTransaction(toEnvelope(signed, answers));
    return response;
  }

  async #submit(request: InstanceType<typeof gateway.SubmitRequest>): Promise<Serializable> {
    const envelope = request.getPreparedTransaction();
    if (envelope === undefined || envelope.getSignature_asU8().length === 0)
      throw new GatewayRefusal(status.INVALID_ARGUMENT, "prepared transaction must be signed");
    this.#channel.order(envelope.serializeBinary());
    return new gateway.SubmitResponse();
  }

  async #status(signed: InstanceType<typeof gateway.SignedCommitStatusRequest>): Promise<Serializable> {
    const request = gateway.CommitStatusRequest.deserializeBinary(signed.getRequest_asU8());
    if (!verifySignature(request.getIdentity_asU8(), signed.getRequest_asU8(), signed.getSignature_asU8()))
      throw new GatewayRefusal(status.PERMISSION_DENIED, "access denied");
    const { code, block } = await this.#channel.outcome(request.getTransactionId());
    const response = new gateway.CommitStatusResponse();
    response.setResult(code as 0);
    response.setBlockNumber(block);
    return response;
  }

  /** @param prefix - What the gateway puts before the words of a peer in its own message. */
  async #ask(
    each: TestPeer,
    signed: InstanceType<typeof peer.SignedProposal>,
    prefix: string,
  ): Promise<ProposalResponse> {
    const { mspId } = each.identity;
    const refuse = (words: string) => {
      const message =
        prefix === "" ? "failed to endorse transaction, see attached details for more info" : prefix + words;
      return new GatewayRefusal(prefix === "" ? status.ABORTED : status.UNKNOWN, message, [{ mspId, message: words }]);
    };
    let answer: ProposalResponse;
    try {
      answer = await each.endorse(signed);
    } catch (error) {
      throw refuse(`error validating proposal: ${(error as Error).message}`);
    }
    const code = answer.getResponse()?.getStatus() ?? 500;
    if (code >= 400) throw refuse(`chaincode response ${code}, ${answer.getResponse()?.getMessage()}`);
    return answer;
  }

  #deliver(call: DeliverCall): void {
    call.on("error", () => undefined);
    call.once("data", (envelope: InstanceType<typeof common.Envelope>) => {
      const payload = common.Payload.deserializeBinary(envelope.getPayload_asU8());
      const seek = orderer.SeekInfo.deserializeBinary(payload.getData_asU8());
      let next = seek.getStart()?.getSpecified()?.getNumber() ?? this.#channel.blocks.length;
      const send = () => {
        for (; next < this.#channel.blocks.length; next++) {
          const response = new peer.DeliverResponse();
          response.setBlock(common.Block.deserializeBinary(this.#channel.blocks[next] ?? new Uint8Array()));
          call.write(response);
        }
      };
      const unwatch = this.#channel.watch(send);
      call.on("cancelled", unwatch);
      call.on("end", () => call.end());
      send();
    });
  }
}

function toCredentials({ certificate, key, clientRoot }: TlsCertificate & { readonly clientRoot?: string }) {
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) };
  const roots = clientRoot === undefined ? null : Buffer.from(clientRoot);
  return ServerCredentials.createSsl(roots, [pair], clientRoot !== undefined);
}

interface Serializable {
  serializeBinary(): Uint8Array;
}
type DeliverCall = ServerDuplexStream<InstanceType<typeof common.Envelope>, InstanceType<typeof peer.DeliverResponse>>;

function unary<Request>(work: (request: Request) => Promise<Serializable>): UntypedHandleCall {
  const handle = (call: { request: Request }, callback: (error: unknown, value?: Serializable) => void): void => {
    work(call.request).then(
      (value) => callback(null, value),
      (error) =>
        callback(
          error instanceof GatewayRefusal ? error.toServiceError() : { code: status.INTERNAL, details: String(error) },
        ),
    );
  };
  return handle as UntypedHandleCall;
}

function signedProposalOf(
  signed: InstanceType<typeof peer.SignedProposal> | undefined,
): InstanceType<typeof peer.SignedProposal> {
  if (signed === undefined) throw new GatewayRefusal(status.INVALID_ARGUMENT, "the proposed transaction is missing");
  return signed;
}

function chaincodeOf(signed: InstanceType<typeof peer.SignedProposal>): string {
  const proposal = peer.Proposal.deserializeBinary(signed.getProposalBytes_asU8());
  const payload = peer.ChaincodeProposalPayload.deserializeBinary(proposal.getPayload_asU8());
  const spec = peer.ChaincodeInvocationSpec.deserializeBinary(payload.getInput_asU8()).getChaincodeSpec();
  return spec?.getChaincodeId()?.getName() ?? "";
}

/** The transaction that a client signs and submits. */
function toEnvelope(
  signed: InstanceType<typeof peer.SignedProposal>,
  answers: readonly ProposalResponse[],
): InstanceType<typeof common.Envelope> {
  const proposal = peer.Proposal.deserializeBinary(signed.getProposalBytes_asU8());
  const header = common.Header.deserializeBinary(proposal.getHeader_asU8());
  const endorsed = new peer.ChaincodeEndorsedAction();
  endorsed.setProposalResponsePayload(answers[0]?.getPayload_asU8() ?? new Uint8Array());
  for (const answer of answers) endorsed.addEndorsements(answer.getEndorsement());
  const proposalPayload = peer.ChaincodeProposalPayload.deserializeBinary(proposal.getPayload_asU8());
  proposalPayload.clearTransientmapMap();
  const actionPayload = new peer.ChaincodeActionPayload();
  actionPayload.setChaincodeProposalPayload(proposalPayload.serializeBinary());
  actionPayload.setAction(endorsed);
  const action = new peer.TransactionAction();
  action.setHeader(header.getSignatureHeader_asU8());
  action.setPayload(actionPayload.serializeBinary());
  const transaction = new peer.Transaction();
  transaction.addActions(action);
  const payload = new common.Payload();
  payload.setHeader(header);
  payload.setData(transaction.serializeBinary());
  const envelope = new common.Envelope();
  envelope.setPayload(payload.serializeBinary());
  return envelope;
}
