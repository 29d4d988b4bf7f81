import { randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { EnclaveError } from "../errors.ts";
import { ChannelHeaderSchema, HeaderSchema, SignatureHeaderSchema } from "../messages/generated/fabric/common_pb.ts";
import {
  ChaincodeHeaderExtensionSchema,
  ChaincodeInvocationSpecSchema,
  ChaincodeProposalPayloadSchema,
  ProposalSchema,
} from "../messages/generated/fabric/peer_pb.ts";
import { readMessage, writeMessage } from "./fabric-message.ts";
import { sha256 } from "./low-s.ts";

export const headerTypes = { config: 1, endorserTransaction: 3 } as const;
export const nonceBytes = 24;
const maxProposalBytes = 4 << 20;
const golang = 1;

export interface ProposalInput {
  readonly channelId: string;
  readonly chaincode: string;
  readonly transaction: string;
  readonly args: readonly (string | Uint8Array)[];
  /** msp.SerializedIdentity */
  readonly creator: Uint8Array;
  /** @defaultValue 24 random bytes */
  readonly nonce?: Uint8Array;
  /** @defaultValue the host's clock */
  readonly timestampMs?: number;
}

/** What a proposal says, and what is signed of it. */
export interface ReadProposal {
  readonly channelId: string;
  readonly txId: string;
  readonly timestampMs: number;
  readonly creator: Uint8Array;
  readonly nonce: Uint8Array;
  readonly chaincode: string;
  /** The first is the transaction's name. */
  readonly args: readonly Uint8Array[];
  /** What endorsers sign of the proposal: 32 bytes. */
  readonly hash: Buffer;
}

/** protos.Proposal. */
export function makeProposal(input: ProposalInput): { readonly proposal: Buffer; readonly txId: string } {
  const nonce = input.nonce ?? randomBytes(nonceBytes);
  const txId = txIdOf(nonce, input.creator);
  const chaincodeId = { name: input.chaincode };
  const extension = create(ChaincodeHeaderExtensionSchema, { chaincodeId });
  const channelHeader = create(ChannelHeaderSchema, {
    type: headerTypes.endorserTransaction,
    timestamp: timestampFromMs(input.timestampMs ?? Date.now()),
    channelId: input.channelId,
    txId,
    extension: toBinary(ChaincodeHeaderExtensionSchema, extension),
  });
  const signatureHeader = create(SignatureHeaderSchema, { creator: input.creator, nonce });
  const invocation = create(ChaincodeInvocationSpecSchema, {
    chaincodeSpec: {
      type: golang,
      chaincodeId,
      input: { args: [input.transaction, ...input.args].map((arg) => Buffer.from(arg as string)) },
    },
  });
  const payload = create(ChaincodeProposalPayloadSchema, {
    input: toBinary(ChaincodeInvocationSpecSchema, invocation),
  });
  const header = create(HeaderSchema, {
    channelHeader: toBinary(ChannelHeaderSchema, channelHeader),
    signatureHeader: toBinary(SignatureHeaderSchema, signatureHeader),
  });
  const proposal = create(ProposalSchema, {
    header: toBinary(HeaderSchema, header),
    payload: toBinary(ChaincodeProposalPayloadSchema, payload),
  });
  return { proposal: writeMessage(ProposalSchema, proposal), txId };
}

/** Hexadecimal SHA-256 over the nonce and the creator. */
export function txIdOf(nonce: Uint8Array, creator: Uint8Array): string {
  return sha256(nonce, creator).toString("hex");
}

/** SHA-256 over the channel header, the signature header and the payload without its transient map. */
export function proposalHash(
  header: { readonly channelHeader: Uint8Array; readonly signatureHeader: Uint8Array },
  visiblePayload: Uint8Array,
): Buffer {
  return sha256(header.channelHeader, header.signatureHeader, visiblePayload);
}

/** protos.ChaincodeProposalPayload as it goes to the orderer: the transient map is for endorsers only. */
export function visiblePayload(payload: Uint8Array): Buffer {
  const { input } = readMessage(ChaincodeProposalPayloadSchema, payload);
  return writeMessage(ChaincodeProposalPayloadSchema, create(ChaincodeProposalPayloadSchema, { input }));
}

/** @throws EnclaveError MALFORMED: not a proposal to call a chaincode, or its transaction's id is not that of nonce and creator */
export function readProposal(bytes: Uint8Array): ReadProposal {
  if (bytes.length > maxProposalBytes) throw new EnclaveError("MALFORMED", "a proposal is too long");
  const proposal = readMessage(ProposalSchema, bytes);
  const header = readMessage(HeaderSchema, proposal.header);
  return { ...readHeaders(header), ...readInvocation(header, visiblePayload(proposal.payload)) };
}

/** What the headers of a proposal or envelope say. @throws EnclaveError MALFORMED */
export function readHeaders(header: {
  readonly channelHeader: Uint8Array;
  readonly signatureHeader: Uint8Array;
}): Pick<ReadProposal, "channelId" | "txId" | "timestampMs" | "creator" | "nonce"> {
  const channel = readMessage(ChannelHeaderSchema, header.channelHeader);
  const { creator, nonce } = readMessage(SignatureHeaderSchema, header.signatureHeader);
  if (channel.type !== headerTypes.endorserTransaction || channel.timestamp === undefined)
    throw new EnclaveError("MALFORMED", "a proposal is not one to call a chaincode, or has no time");
  if (nonce.length === 0 || creator.length === 0 || channel.txId !== txIdOf(nonce, creator))
    throw new EnclaveError("MALFORMED", "a transaction's id is not that of its nonce and creator");
  return {
    channelId: channel.channelId,
    txId: channel.txId,
    timestampMs: timestampMs(channel.timestamp),
    creator,
    nonce,
  };
}

/** Which chaincode is called, and how. @throws EnclaveError MALFORMED: header and payload name different ones */
export function readInvocation(
  header: { readonly channelHeader: Uint8Array; readonly signatureHeader: Uint8Array },
  payload: Uint8Array,
): Pick<ReadProposal, "chaincode" | "args" | "hash"> {
  const { extension } = readMessage(ChannelHeaderSchema, header.channelHeader);
  const name = readMessage(ChaincodeHeaderExtensionSchema, extension).chaincodeId?.name ?? "";
  const { input } = readMessage(ChaincodeProposalPayloadSchema, payload);
  const spec = readMessage(ChaincodeInvocationSpecSchema, input).chaincodeSpec;
  if (name === "" || spec?.chaincodeId?.name !== name || spec.input === undefined || spec.input.args.length === 0)
    throw new EnclaveError("MALFORMED", "a proposal names no chaincode or transaction, or two different chaincodes");
  return { chaincode: name, args: spec.input.args, hash: proposalHash(header, payload) };
}
