import { common, peer } from "@hyperledger/fabric-protos";
import { type Definition, isSatisfied, policyOf, toWrite } from "./definitions.ts";
import { isMember, sha256, TestOrganisation, verifySignature } from "./organisation.ts";
import { type InstalledChaincode, TestPeer } from "./peer.ts";

/** protos.TxValidationCode, as far as this channel gives them. */
export const codes = {
  valid: 0,
  badPayload: 2,
  badCreatorSignature: 4,
  invalidTransaction: 5,
  badTransactionId: 8,
  duplicateTransactionId: 9,
  endorsementPolicyFailure: 10,
} as const;

export interface Outcome {
  readonly code: number;
  readonly block: number;
}

/**
 * A channel of the test peer: organisations with one peer each, and an orderer that cuts a block as soon as it has as many
 * transactions as the next block takes. Every peer validates and commits every block before a client is told of it.
 */
export class TestChannel implements Disposable {
  readonly channelId: string;
  readonly organisations: readonly TestOrganisation[];
  readonly peers: readonly TestPeer[];
  /** common.Block each, by number. */
  readonly blocks: Uint8Array[] = [];
  readonly #definitions = new Map<string, Definition>();
  readonly #outcomes = new Map<string, PromiseWithResolvers<Outcome>>();
  readonly #committed = new Set<string>();
  readonly #watchers = new Set<() => void>();
  #pending: Uint8Array[] = [];
  #blockTakes = 1;

  private constructor(channelId: string, organisations: readonly TestOrganisation[], peers: readonly TestPeer[]) {
    this.channelId = channelId;
    this.organisations = organisations;
    this.peers = peers;
    this.#cut([configuration(channelId, Buffer.from(`the configuration of ${channelId}`))], () => codes.valid);
  }

  static async create(channelId: string, mspIds: readonly string[]): Promise<TestChannel> {
    const organisations = await Promise.all(mspIds.map((mspId) => TestOrganisation.create(mspId)));
    const peers = await Promise.all(
      organisations.map(async (one) => new TestPeer(await one.issue("peer"), channelId, organisations)),
    );
    return new TestChannel(channelId, organisations, peers);
  }

  /** SHA-256 of the genesis block. */
  get genesisHash(): Buffer {
    return sha256(this.blocks[0] ?? new Uint8Array());
  }

  organisation(mspId: string): TestOrganisation {
    return found(this.organisations.find((one) => one.mspId === mspId));
  }

  peer(mspId: string): TestPeer {
    return found(this.peers.find(({ identity }) => identity.mspId === mspId));
  }

  /** @param endorsers - How many of the organisations have to endorse; all where it is not given. */
  define(name: string, version: string, sequence: number, endorsers: number = this.organisations.length): void {
    const mspIds = this.organisations.map(({ mspId }) => mspId);
    const definition = { version, sequence, policy: policyOf(endorsers, mspIds) };
    this.#definitions.set(name, definition);
    for (const each of this.peers) each.commitDefinition(toWrite(name, definition), this.blocks.length);
    this.#cut([configuration(this.channelId, Buffer.from(`the definition of ${name}`))], () => codes.valid);
  }

  definition(name: string): Definition | undefined {
    return this.#definitions.get(name);
  }

  install(mspId: string, name: string, stream: InstalledChaincode): void {
    this.peer(mspId).install(name, stream)?.[Symbol.dispose]();
  }

  /** The next block waits for so many transactions; the ones after it take one each again. */
  nextBlockTakes(count: number): void {
    this.#blockTakes = count;
  }

  /** @param envelope - common.Envelope, signed */
  order(envelope: Uint8Array): void {
    this.#pending.push(envelope);
    for (const callback of this.#watchers) callback();
    if (this.#pending.length < this.#blockTakes) return;
    const data = this.#pending;
    this.#pending = [];
    this.#blockTakes = 1;
    const block = this.blocks.length;
    this.#cut(data, (each, index) => this.#commit(each, block, index));
  }

  outcome(txId: string): Promise<Outcome> {
    return this.#outcome(txId).promise;
  }

  /** Until so many transactions wait for the next block. */
  async pending(count: number): Promise<void> {
    while (this.#pending.length < count)
      await new Promise<void>((resolve) => {
        const unwatch = this.watch(() => {
          unwatch();
          resolve();
        });
      });
  }

  /** Calls back whenever there is another transaction or block; the answer ends it. */
  watch(callback: () => void): () => void {
    this.#watchers.add(callback);
    return () => this.#watchers.delete(callback);
  }

  [Symbol.dispose](): void {
    for (const each of this.peers) each[Symbol.dispose]();
  }

  #outcome(txId: string): PromiseWithResolvers<Outcome> {
    const outcome = this.#outcomes.get(txId) ?? Promise.withResolvers<Outcome>();
    this.#outcomes.set(txId, outcome);
    return outcome;
  }

  #cut(data: readonly Uint8Array[], commit: (envelope: Uint8Array, index: number) => number): void {
    const number = this.blocks.length;
    const results = data.map(commit);
    this.blocks.push(toBlock(number, this.blocks.at(-1), data, results));
    for (const each of this.peers) each.raise(this.blocks.length);
    for (const [index, envelope] of data.entries()) {
      const txId = readChannelHeader(envelope)?.getTxId() ?? "";
      if (txId !== "") this.#outcome(txId).resolve({ code: results[index] ?? codes.badPayload, block: number });
    }
    for (const callback of this.#watchers) callback();
  }

  /** What peers do with a transaction of a block: the validation code that they all come to. */
  #commit(envelope: Uint8Array, block: number, index: number): number {
    const transaction = this.#validate(envelope);
    if (typeof transaction === "number") return transaction;
    const results = new Set(this.peers.map((each) => each.commit(transaction.readWriteSet, block, index)));
    if (results.size !== 1) throw new Error("peers of one channel came to different results");
    const [code = codes.badPayload] = results;
    return code;
  }

  #validate(bytes: Uint8Array): number | { readonly readWriteSet: Uint8Array } {
    const envelope = common.Envelope.deserializeBinary(bytes);
    const payload = common.Payload.deserializeBinary(envelope.getPayload_asU8());
    const header = payload.getHeader();
    const txHeader = readChannelHeader(bytes);
    if (header === undefined || txHeader === undefined) return codes.badPayload;
    const signature = common.SignatureHeader.deserializeBinary(header.getSignatureHeader_asU8());
    const creator = signature.getCreator_asU8();
    if (!isMember(this.organisations, creator)) return codes.badCreatorSignature;
    if (!verifySignature(creator, envelope.getPayload_asU8(), envelope.getSignature_asU8()))
      return codes.badCreatorSignature;
    const txId = txHeader.getTxId();
    if (txId !== sha256(signature.getNonce_asU8(), creator).toString("hex")) return codes.badTransactionId;
    if (this.#committed.has(txId)) return codes.duplicateTransactionId;
    this.#committed.add(txId);

    const [action] = peer.Transaction.deserializeBinary(payload.getData_asU8()).getActionsList();
    const actionPayload = peer.ChaincodeActionPayload.deserializeBinary(action?.getPayload_asU8() ?? new Uint8Array());
    const endorsed = actionPayload.getAction();
    if (endorsed === undefined) return codes.invalidTransaction;
    const response = peer.ProposalResponsePayload.deserializeBinary(endorsed.getProposalResponsePayload_asU8());
    const hash = sha256(
      header.getChannelHeader_asU8(),
      header.getSignatureHeader_asU8(),
      actionPayload.getChaincodeProposalPayload_asU8(),
    );
    if (!hash.equals(response.getProposalHash_asU8())) return codes.invalidTransaction;
    const chaincodeAction = peer.ChaincodeAction.deserializeBinary(response.getExtension_asU8());
    const definition = this.#definitions.get(chaincodeAction.getChaincodeId()?.getName() ?? "");
    const endorsers = endorsed
      .getEndorsementsList()
      .filter((each) => {
        const signed = Buffer.concat([endorsed.getProposalResponsePayload_asU8(), each.getEndorser_asU8()]);
        const endorser = each.getEndorser_asU8();
        return isMember(this.organisations, endorser) && verifySignature(endorser, signed, each.getSignature_asU8());
      })
      .map((each) => each.getEndorser_asU8());
    if (definition === undefined || !isSatisfied(definition.policy, endorsers)) return codes.endorsementPolicyFailure;
    return { readWriteSet: chaincodeAction.getResults_asU8() };
  }
}

function readChannelHeader(envelope: Uint8Array): InstanceType<typeof common.ChannelHeader> | undefined {
  const payload = common.Envelope.deserializeBinary(envelope).getPayload_asU8();
  const header = common.Payload.deserializeBinary(payload).getHeader();
  return header && common.ChannelHeader.deserializeBinary(header.getChannelHeader_asU8());
}

/** An envelope that is no transaction; what is in it only this channel understands. */
function configuration(channelId: string, data: Uint8Array): Uint8Array {
  const channelHeader = new common.ChannelHeader();
  channelHeader.setType(common.HeaderType.CONFIG);
  channelHeader.setChannelId(channelId);
  const header = new common.Header();
  header.setChannelHeader(channelHeader.serializeBinary());
  const payload = new common.Payload();
  payload.setHeader(header);
  payload.setData(data);
  const envelope = new common.Envelope();
  envelope.setPayload(payload.serializeBinary());
  return envelope.serializeBinary();
}

/** Index of the validation codes within a block's metadata (common.BlockMetadataIndex, TRANSACTIONS_FILTER). */
const filterIndex = 2;

function toBlock(
  number: number,
  before: Uint8Array | undefined,
  data: readonly Uint8Array[],
  results: number[],
): Uint8Array {
  const header = new common.BlockHeader();
  header.setNumber(number);
  if (before !== undefined) header.setPreviousHash(headerHash(before));
  header.setDataHash(sha256(...data));
  const blockData = new common.BlockData();
  blockData.setDataList([...data]);
  const metadata = new common.BlockMetadata();
  metadata.setMetadataList(
    [0, 1, 2, 3, 4].map((index) => (index === filterIndex ? Buffer.from(results) : Buffer.of())),
  );
  const block = new common.Block();
  block.setHeader(header);
  block.setData(blockData);
  block.setMetadata(metadata);
  return block.serializeBinary();
}

/** SHA-256 of SEQUENCE { INTEGER number, OCTET STRING previous_hash, OCTET STRING data_hash } in DER. */
export function headerHash(block: Uint8Array): Buffer {
  const header = found(common.Block.deserializeBinary(block).getHeader());
  const digits = header.getNumber().toString(16);
  const number = Buffer.from(`00${digits.padStart(digits.length + (digits.length % 2), "0")}`, "hex");
  const minimal = (number[1] ?? 0) < 0x80 && number.length > 1 ? number.subarray(1) : number;
  const parts = [tlv(0x02, minimal), tlv(0x04, header.getPreviousHash_asU8()), tlv(0x04, header.getDataHash_asU8())];
  return sha256(tlv(0x30, Buffer.concat(parts)));
}

/** Lengths here stay below 128. */
function tlv(tag: number, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(tag, value.length), value]);
}

function found<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("there is no such part of the test channel");
  return value;
}
