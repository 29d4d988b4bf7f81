import { type ClientDuplexStream, credentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { ledger, peer } from "@hyperledger/fabric-protos";
import type { Entry, Simulation } from "./world-state.ts";

type Message = InstanceType<typeof peer.ChaincodeMessage>;
type Response = InstanceType<typeof peer.Response>;
/** Between chaincode and peer, whoever opened it. */
export type ChatStream = ClientDuplexStream<Message, Message> | ServerDuplexStream<Message, Message>;
const { Type } = peer.ChaincodeMessage;

/** A call of chaincode: what the peer's proposal has, and how chaincode calls another one on the same channel. */
export interface ChaincodeCall {
  readonly channelId: string;
  readonly txId: string;
  readonly input: InstanceType<typeof peer.ChaincodeInput>;
  readonly proposal: InstanceType<typeof peer.SignedProposal>;
  readonly simulation: Simulation;
  readonly invoke: (chaincode: string, args: readonly Uint8Array[]) => Promise<Response>;
}

export interface ChaincodeAnswer {
  readonly response: Response;
  /** protos.ChaincodeEvent; empty where there is none. */
  readonly event: Uint8Array;
}

interface Running {
  readonly call: ChaincodeCall;
  /** What each iterator has still to give. */
  readonly open: Map<string, readonly Entry[]>;
  readonly resolve: (answer: ChaincodeAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** So many results of a range go in one message, so that tests of more need QUERY_STATE_NEXT. */
const resultsInMessage = 2;

/**
 * The peer's end of Fabric's chaincode stream (protos.Chaincode, Connect): chaincode runs as a service, the peer connects to it,
 * hands it transactions, and answers what they ask of the state. Transactions of different ids run at the same time.
 */
export class ChaincodeStream implements Disposable {
  /** As the chaincode registered: the id of its package. */
  readonly chaincodeId: string;
  readonly #namespace: string;
  readonly #stream: ChatStream;
  readonly #close: () => void;
  readonly #running = new Map<string, Running>();
  #iterators = 0;

  private constructor(chaincodeId: string, namespace: string, stream: ChatStream, close: () => void) {
    this.chaincodeId = chaincodeId;
    this.#namespace = namespace;
    this.#stream = stream;
    this.#close = close;
    stream.on("data", (message: Message) => this.#take(message));
    stream.on("error", (error: Error) => this.#fail(error));
    stream.on("end", () => this.#fail(new Error("the chaincode ended its stream")));
  }

  /**
   * @param namespace - The chaincode's name in the channel.
   * @throws Error when the chaincode does not register
   */
  static async connect(address: string, namespace: string): Promise<ChaincodeStream> {
    const client = new peer.ChaincodeClient(address, credentials.createInsecure());
    const stream: ClientDuplexStream<Message, Message> = client.connect();
    try {
      return await ChaincodeStream.accept(stream, namespace, () => client.close());
    } catch (error) {
      stream.on("error", () => undefined);
      client.close();
      throw error;
    }
  }

  /**
   * The same of a stream that chaincode has opened: of a service, or of chaincode that the peer has started.
   *
   * @throws Error when the chaincode does not register
   */
  static async accept(stream: ChatStream, namespace: string, close: () => void): Promise<ChaincodeStream> {
    const first = await new Promise<Message>((resolve, reject) => {
      stream.once("data", resolve);
      stream.once("error", reject);
    });
    if (first.getType() !== Type.REGISTER) throw new Error(`chaincode began with message ${first.getType()}`);
    const id = peer.ChaincodeID.deserializeBinary(first.getPayload_asU8()).getName();
    stream.write(newMessage(Type.REGISTERED));
    stream.write(newMessage(Type.READY));
    return new ChaincodeStream(id, namespace, stream, close);
  }

  execute(call: ChaincodeCall): Promise<ChaincodeAnswer> {
    const key = call.channelId + call.txId;
    if (this.#running.has(key)) return Promise.reject(new Error(`the transaction ${call.txId} is running already`));
    return new Promise((resolve, reject) => {
      this.#running.set(key, { call, open: new Map(), resolve, reject });
      const message = newMessage(Type.TRANSACTION, call.input.serializeBinary(), call);
      message.setProposal(call.proposal);
      this.#stream.write(message);
    });
  }

  [Symbol.dispose](): void {
    this.#fail(new Error("the peer left the chaincode"));
    this.#stream.end();
    this.#close();
  }

  #take(message: Message): void {
    const running = this.#running.get(message.getChannelId() + message.getTxid());
    // Of a transaction that has ended: a peer does not answer it.
    if (running === undefined) return;
    const { call } = running;
    if (message.getType() === Type.COMPLETED || message.getType() === Type.ERROR) {
      this.#running.delete(call.channelId + call.txId);
      if (message.getType() === Type.ERROR)
        running.reject(new Error(Buffer.from(message.getPayload_asU8()).toString()));
      else
        running.resolve({
          response: peer.Response.deserializeBinary(message.getPayload_asU8()),
          event: message.getChaincodeEvent()?.serializeBinary() ?? new Uint8Array(),
        });
      return;
    }
    this.#answer(message, running).then(
      (payload) => this.#stream.write(newMessage(Type.RESPONSE, payload, call)),
      (error: Error) => this.#stream.write(newMessage(Type.ERROR, Buffer.from(error.message), call)),
    );
  }

  async #answer(message: Message, { call, open }: Running): Promise<Uint8Array> {
    const payload = message.getPayload_asU8();
    switch (message.getType()) {
      case Type.GET_STATE: {
        const key = peer.GetState.deserializeBinary(payload).getKey();
        return call.simulation.get(this.#namespace, key) ?? new Uint8Array();
      }
      case Type.PUT_STATE: {
        const put = peer.PutState.deserializeBinary(payload);
        call.simulation.write(this.#namespace, { key: put.getKey(), value: put.getValue_asU8() });
        return new Uint8Array();
      }
      case Type.DEL_STATE:
        call.simulation.write(this.#namespace, { key: peer.DelState.deserializeBinary(payload).getKey() });
        return new Uint8Array();
      case Type.GET_STATE_BY_RANGE: {
        const range = peer.GetStateByRange.deserializeBinary(payload);
        const results = call.simulation.range(this.#namespace, range.getStartkey(), range.getEndkey());
        const id = `iterator-${this.#iterators++}`;
        open.set(id, results);
        return next(id, open);
      }
      case Type.QUERY_STATE_NEXT:
        return next(peer.QueryStateNext.deserializeBinary(payload).getId(), open);
      case Type.QUERY_STATE_CLOSE: {
        const id = peer.QueryStateClose.deserializeBinary(payload).getId();
        open.delete(id);
        const response = new peer.QueryResponse();
        response.setId(id);
        return response.serializeBinary();
      }
      case Type.INVOKE_CHAINCODE: {
        const spec = peer.ChaincodeSpec.deserializeBinary(payload);
        const [name = "", channelId = call.channelId] = (spec.getChaincodeId()?.getName() ?? "").split("/");
        if (channelId !== call.channelId) throw new Error(`there is no channel ${channelId}`);
        const response = await call.invoke(name, spec.getInput()?.getArgsList_asU8() ?? []);
        return newMessage(Type.COMPLETED, response.serializeBinary(), call).serializeBinary();
      }
      default:
        throw new Error(`this peer has no answer to a message of type ${message.getType()}`);
    }
  }

  #fail(error: Error): void {
    for (const { reject } of this.#running.values()) reject(error);
    this.#running.clear();
  }
}

function newMessage(
  type: (typeof Type)[keyof typeof Type],
  payload: Uint8Array = new Uint8Array(),
  call?: ChaincodeCall,
): Message {
  const message = new peer.ChaincodeMessage();
  message.setType(type);
  message.setPayload(payload);
  message.setTxid(call?.txId ?? "");
  message.setChannelId(call?.channelId ?? "");
  return message;
}

/** The next part of an iterator's results. Chaincode asks for more exactly when it is told that there is. */
function next(id: string, open: Running["open"]): Uint8Array {
  const left = open.get(id);
  if (left === undefined) throw new Error(`there is no iterator ${id}`);
  const response = new peer.QueryResponse();
  response.setId(id);
  response.setHasMore(left.length > resultsInMessage);
  open.set(id, left.slice(resultsInMessage));
  for (const { key, value } of left.slice(0, resultsInMessage)) {
    const kv = new ledger.queryresult.KV();
    kv.setKey(key);
    kv.setValue(value);
    const bytes = new peer.QueryResultBytes();
    bytes.setResultbytes(kv.serializeBinary());
    response.addResults(bytes);
  }
  return response.serializeBinary();
}
