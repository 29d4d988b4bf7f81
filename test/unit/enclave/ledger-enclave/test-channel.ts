import assert from "node:assert/strict";
import { createHash, createPrivateKey, type KeyObject, randomBytes } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { makeBlock, readBlock, withValidation } from "../../../../src/enclave/ledger/block.ts";
import { makeGenesisBlock, readChannelConfig } from "../../../../src/enclave/ledger/channel-config.ts";
import type { Version } from "../../../../src/enclave/ledger/committed-state.ts";
import { definitionRecords, lifecycleName } from "../../../../src/enclave/ledger/definitions.ts";
import { OrganisationAuthority } from "../../../../src/enclave/ledger/embedded/organisation-authority.ts";
import { makeEndorsedResponse, makeEnvelope, readResponse } from "../../../../src/enclave/ledger/endorsement.ts";
import { signLowS } from "../../../../src/enclave/ledger/low-s.ts";
import { serializeIdentity } from "../../../../src/enclave/ledger/membership.ts";
import { makeProposal, readProposal } from "../../../../src/enclave/ledger/proposal.ts";
import { policyOf } from "../../../../src/enclave/ledger/signature-policy.ts";
import { EnvelopeSchema } from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import { KVRWSetSchema, TxReadWriteSetSchema } from "../../../../src/enclave/messages/generated/fabric/rwset_pb.ts";

export interface Signer {
  readonly mspId: string;
  readonly serialized: Buffer;
  readonly key: KeyObject;
}

/** What a transaction of {@link TestChannel} reads and writes. */
export interface Change {
  readonly chaincode?: string;
  readonly chaincodeVersion?: string;
  readonly writes?: readonly { readonly key: string; readonly value?: Uint8Array }[];
  readonly reads?: readonly { readonly key: string; readonly version?: Version }[];
  readonly endorsers?: readonly Signer[];
  readonly creator?: Signer;
  readonly channelId?: string;
}

export const mspIds = ["Org1MSP", "Org2MSP", "Org3MSP"] as const;

/** Blocks of a channel with real keys, made by hand so that they can be made wrong as well. */
export class TestChannel {
  readonly channelId = "private-channel";
  readonly erccName = "ercc";
  readonly genesisBlock: Buffer;
  readonly peers: readonly Signer[];
  readonly clients: readonly Signer[];
  readonly orderer: Signer;
  readonly stranger: Signer;
  /** By an organisation's authority, of a time before its own: Fabric's peers may not take it. */
  readonly doubtedMember: (organisation: number, role: string) => Promise<Signer>;

  private constructor(
    genesisBlock: Buffer,
    peers: Signer[],
    clients: Signer[],
    orderer: Signer,
    stranger: Signer,
    doubtedMember: TestChannel["doubtedMember"],
  ) {
    this.genesisBlock = genesisBlock;
    this.peers = peers;
    this.clients = clients;
    this.orderer = orderer;
    this.stranger = stranger;
    this.doubtedMember = doubtedMember;
  }

  static async create(): Promise<TestChannel> {
    const members = await Promise.all(mspIds.map((mspId) => OrganisationAuthority.create(mspId)));
    const ordering = await OrganisationAuthority.create("OrdererMSP");
    const of = (index: number) => ({ mspId: mspIds[index] ?? "", roots: [members[index]?.certificate ?? ""] });
    const genesisBlock = makeGenesisBlock({
      channelId: "private-channel",
      organisations: mspIds.map((_, index) => of(index)),
      orderers: [{ mspId: "OrdererMSP", roots: [ordering.certificate] }],
      timestampMs: Date.now(),
    });
    const member = (index: number, role: string, notBefore?: Date) =>
      issue(members[index]?.authority ?? assert.fail(), mspIds[index] ?? "", role, notBefore);
    const all = (role: string) => Promise.all(members.map((_, index) => member(index, role)));
    const early = new Date(Date.now() - 7 * 24 * 60 * 60 * 1000);
    return new TestChannel(
      genesisBlock,
      await all("peer"),
      await all("client"),
      await issue(ordering.authority, "OrdererMSP", "orderer"),
      await issue((await OrganisationAuthority.create("Org1MSP")).authority, "Org1MSP", "peer"),
      (index, role) => member(index, role, early),
    );
  }

  get channelHash(): Buffer {
    return readChannelConfig(this.genesisBlock).channelHash;
  }

  /** Defines ERCC: any two organisations endorse. */
  defineErcc(version = "1", sequence = 1n): Change {
    const validationParameter = policyOf(2, [...mspIds]);
    const writes = definitionRecords(this.erccName, { version, sequence, validationParameter });
    return { chaincode: lifecycleName, chaincodeVersion: "syscc", writes };
  }

  /** common.Envelope */
  async transaction(change: Change): Promise<Buffer> {
    const creator = change.creator ?? this.clients[0];
    if (creator === undefined) throw new TypeError("the channel has clients");
    const chaincode = change.chaincode ?? this.erccName;
    const { proposal } = makeProposal({
      channelId: change.channelId ?? this.channelId,
      chaincode,
      transaction: "test",
      args: [],
      creator: creator.serialized,
    });
    const simulated = {
      proposalHash: readProposal(proposal).hash,
      results: resultsOf(chaincode, change),
      status: 200,
      message: "",
      payload: new Uint8Array(),
      chaincode: { name: chaincode, version: change.chaincodeVersion ?? "1" },
    };
    const endorsed = (change.endorsers ?? this.peers.slice(0, 2)).map((peer) =>
      readResponse(makeEndorsedResponse(simulated, peer)),
    );
    const endorsements = endorsed.flatMap(({ endorsement }) => (endorsement === undefined ? [] : [endorsement]));
    const responsePayload = endorsed[0]?.responsePayload ?? Buffer.alloc(0);
    const envelope = await makeEnvelope(proposal, responsePayload, endorsements, async () => new Uint8Array());
    // The payload is signed whole: Node's signer takes no digest.
    const message = fromBinary(EnvelopeSchema, envelope);
    message.signature = signLowS(message.payload, creator.key);
    return Buffer.from(toBinary(EnvelopeSchema, message));
  }

  /** common.Block. @param codes - As a peer has told them; left out: none. */
  block(
    number: bigint,
    previous: Uint8Array,
    envelopes: readonly Uint8Array[],
    { signer = this.orderer, codes }: { readonly signer?: Signer; readonly codes?: readonly number[] } = {},
  ): Buffer {
    const bytes = makeBlock(number, readBlock(previous).hash, envelopes, randomBytes(24), signer);
    return codes === undefined ? bytes : withValidation(bytes, codes, createHash("sha256").digest());
  }
}

async function issue(authority: OrganisationAuthority, mspId: string, role: string, notBefore?: Date): Promise<Signer> {
  const { certificate, privateKey } = await authority.issue({
    commonName: `${role}.${mspId}`,
    units: [role],
    ...(notBefore && { notBefore }),
  });
  return {
    mspId,
    serialized: serializeIdentity({ mspId, certificate }),
    key: privateKey.expose((pem) => createPrivateKey(pem)),
  };
}

function resultsOf(namespace: string, { writes = [], reads = [] }: Change): Uint8Array {
  const set = create(KVRWSetSchema, {
    reads: reads.map(({ key, version }) => ({
      key,
      ...(version && { version: { blockNum: version.blockNumber, txNum: version.position } }),
    })),
    writes: writes.map(({ key, value }) => ({ key, isDelete: value === undefined, value: value ?? new Uint8Array() })),
  });
  return toBinary(
    TxReadWriteSetSchema,
    create(TxReadWriteSetSchema, { nsRwset: [{ namespace, rwset: toBinary(KVRWSetSchema, set) }] }),
  );
}
