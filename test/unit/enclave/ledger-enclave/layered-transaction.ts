import { randomBytes } from "node:crypto";
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { signLowS } from "../../../../src/enclave/ledger/low-s.ts";
import { headerTypes, proposalHash, txIdOf } from "../../../../src/enclave/ledger/proposal.ts";
import {
  ChannelHeaderSchema,
  EnvelopeSchema,
  PayloadSchema,
  SignatureHeaderSchema,
} from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import {
  ChaincodeActionPayloadSchema,
  ChaincodeActionSchema,
  ChaincodeHeaderExtensionSchema,
  ProposalResponsePayloadSchema,
  TransactionSchema,
} from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import {
  HashedRWSetSchema,
  KVRWSetSchema,
  TxReadWriteSetSchema,
} from "../../../../src/enclave/messages/generated/fabric/rwset_pb.ts";
import type { Signer } from "./test-channel.ts";

/** The messages within an envelope, from within outwards. */
export const layers = [
  "extension",
  "channelHeader",
  "signatureHeader",
  "actionHeader",
  "set",
  "results",
  "action",
  "responsePayload",
  "actionPayload",
  "transaction",
  "payload",
  "envelope",
] as const;
export type Layer = (typeof layers)[number] | "proposalPayload" | "endorserSignature" | "creatorSignature";

export interface NamespaceInit {
  readonly namespace: string;
  readonly set?: MessageInitShape<typeof KVRWSetSchema>;
  readonly collections?: readonly { readonly name: string; readonly set: MessageInitShape<typeof HashedRWSetSchema> }[];
}

export interface LayeredTransaction {
  readonly channelId: string;
  readonly chaincode: string;
  readonly version?: string;
  readonly creator: Signer;
  readonly nonce?: Uint8Array;
  /** @defaultValue that of nonce and creator */
  readonly txId?: string;
  readonly endorsers: readonly Signer[];
  readonly sets: readonly NamespaceInit[];
  readonly channelHeader?: MessageInitShape<typeof ChannelHeaderSchema>;
  readonly chaincodeAction?: MessageInitShape<typeof ChaincodeActionSchema>;
  /** Alters the encoding of a layer before it is put into the next, and signed. */
  readonly alter?: Partial<Record<Layer, (bytes: Buffer) => Buffer>>;
}

/** common.Envelope, made layer by layer with real keys, so that each can be made as a client might that is not one of ours. */
export function layeredTransaction(input: LayeredTransaction): Buffer {
  const { creator, endorsers, chaincode, nonce = randomBytes(24), alter = {} } = input;
  const altered = (layer: Layer, bytes: Uint8Array) => (alter[layer] ?? ((same: Buffer) => same))(Buffer.from(bytes));
  const layer = <Desc extends DescMessage>(name: Layer, schema: Desc, init: MessageInitShape<Desc>) =>
    altered(name, toBinary(schema, create(schema, init)));

  const extension = layer("extension", ChaincodeHeaderExtensionSchema, { chaincodeId: { name: chaincode } });
  const channelHeader = layer("channelHeader", ChannelHeaderSchema, {
    type: headerTypes.endorserTransaction,
    timestamp: timestampFromMs(Date.now()),
    channelId: input.channelId,
    txId: input.txId ?? txIdOf(nonce, creator.serialized),
    extension,
    ...(input.channelHeader as object),
  });
  const signatureHeader = layer("signatureHeader", SignatureHeaderSchema, { creator: creator.serialized, nonce });
  const actionHeader = altered("actionHeader", signatureHeader);
  const chaincodeProposalPayload = altered("proposalPayload", Buffer.from("\u000a\u0001x"));
  const nsRwset = input.sets.map(({ namespace, set = {}, collections = [] }) => ({
    namespace,
    rwset: layer("set", KVRWSetSchema, set),
    collectionHashedRwset: collections.map(({ name, set: hashed }) => ({
      collectionName: name,
      hashedRwset: toBinary(HashedRWSetSchema, create(HashedRWSetSchema, hashed)),
    })),
  }));
  const action = layer("action", ChaincodeActionSchema, {
    results: layer("results", TxReadWriteSetSchema, { nsRwset }),
    response: { status: 200 },
    chaincodeId: { name: chaincode, version: input.version ?? "1" },
    ...(input.chaincodeAction as object),
  });
  const responsePayload = layer("responsePayload", ProposalResponsePayloadSchema, {
    proposalHash: proposalHash({ channelHeader, signatureHeader: actionHeader }, chaincodeProposalPayload),
    extension: action,
  });
  const endorsements = endorsers.map(({ serialized, key }) => ({
    endorser: serialized,
    signature: altered("endorserSignature", signLowS(Buffer.concat([responsePayload, serialized]), key)),
  }));
  const actionPayload = layer("actionPayload", ChaincodeActionPayloadSchema, {
    chaincodeProposalPayload,
    action: { proposalResponsePayload: responsePayload, endorsements },
  });
  const data = layer("transaction", TransactionSchema, { actions: [{ header: actionHeader, payload: actionPayload }] });
  const payload = layer("payload", PayloadSchema, { header: { channelHeader, signatureHeader }, data });
  const signature = altered("creatorSignature", signLowS(payload, creator.key));
  return layer("envelope", EnvelopeSchema, { payload, signature });
}
