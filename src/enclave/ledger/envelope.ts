import {
  type ChannelHeader,
  ChannelHeaderSchema,
  EnvelopeSchema,
  type Payload,
  PayloadSchema,
  SignatureHeaderSchema,
} from "../messages/generated/fabric/common_pb.ts";
import {
  ChaincodeActionPayloadSchema,
  ChaincodeActionSchema,
  ChaincodeEventSchema,
  ChaincodeHeaderExtensionSchema,
  type Endorsement,
  ProposalResponsePayloadSchema,
  TransactionSchema,
} from "../messages/generated/fabric/peer_pb.ts";
import { readAsGo } from "./go-message.ts";
import { isSignedToFabric } from "./go-signature.ts";
import type { Membership } from "./membership.ts";
import { headerTypes, proposalHash, txIdOf } from "./proposal.ts";
import { type ValidationCode, validationCodes } from "./validation-codes.ts";

/** An ordered call of a chaincode whose creator's signature is right and whose parts fit each other. */
export interface ReadTransaction {
  readonly txId: string;
  /** Whose code was called. */
  readonly chaincode: string;
  /** protos.ProposalResponsePayload, which endorsers signed. */
  readonly responsePayload: Uint8Array;
  readonly endorsements: readonly Endorsement[];
  /** kvrwset.TxReadWriteSet */
  readonly results: Uint8Array;
  /** Why it cannot be told whether its creator is a member of the channel; undefined: he is. */
  readonly creatorDoubt: string | undefined;
}

export interface Refusal {
  readonly code: ValidationCode;
}

/** A transaction is refused with this code where reading a part of it fails. */
class Unreadable extends Error {
  readonly code: ValidationCode;

  constructor(code: ValidationCode) {
    super(`a transaction is refused with code ${code}`);
    this.code = code;
  }
}

/**
 * Reads an ordered transaction, and checks of it what Fabric's peers check before they look at endorsements (ValidateTransaction, and the first
 * half of the plugins' dispatcher): no more, no less, and read as they read it. Which code it is refused with may differ from theirs.
 *
 * @param bytes - common.Envelope
 */
export function readTransaction(
  bytes: Uint8Array,
  channel: { readonly channelId: string; readonly signers: Membership },
): ReadTransaction | Refusal {
  try {
    const { payload, channelHeader, creatorDoubt } = readSignedHeaders(bytes, channel);
    return { ...readCall(payload, channelHeader), creatorDoubt };
  } catch (error) {
    if (error instanceof Unreadable) return { code: error.code };
    throw error;
  }
}

/** Of a valid transaction's id: SHA-256. */
const idPattern = /^[0-9a-f]{64}$/;

/**
 * The id that a transaction claims, under which peers keep it whether it is valid or not: no later one of this id is. Empty where it claims none
 * that a valid one could have.
 *
 * @param bytes - common.Envelope
 */
export function claimedTxId(bytes: Uint8Array): string {
  try {
    const { header } = readAsGo(PayloadSchema, readAsGo(EnvelopeSchema, bytes).payload);
    if (header === undefined) return "";
    const { txId } = readAsGo(ChannelHeaderSchema, header.channelHeader);
    if (txId !== "") return idPattern.test(txId) ? txId : "";
    const { nonce, creator } = readAsGo(SignatureHeaderSchema, header.signatureHeader);
    return txIdOf(nonce, creator);
  } catch {
    return "";
  }
}

/**
 * What a transaction claims as its results, kvrwset.TxReadWriteSet, checked or not; undefined where there is nothing to be read.
 *
 * @param bytes - common.Envelope
 */
export function claimedResults(bytes: Uint8Array): Uint8Array | undefined {
  try {
    const { data } = readAsGo(PayloadSchema, readAsGo(EnvelopeSchema, bytes).payload);
    const [action] = readAsGo(TransactionSchema, data).actions;
    const endorsed = action && readAsGo(ChaincodeActionPayloadSchema, action.payload).action;
    if (endorsed === undefined) return undefined;
    const { extension } = readAsGo(ProposalResponsePayloadSchema, endorsed.proposalResponsePayload);
    return readAsGo(ChaincodeActionSchema, extension).results;
  } catch {
    return undefined;
  }
}

function readSignedHeaders(
  bytes: Uint8Array,
  { channelId, signers }: { readonly channelId: string; readonly signers: Membership },
): {
  readonly payload: Payload;
  readonly channelHeader: ChannelHeader;
  readonly creatorDoubt: string | undefined;
} {
  const { payload: signed, signature } = orRefuse(validationCodes.NIL_ENVELOPE, () => readAsGo(EnvelopeSchema, bytes));
  demand(signed.length > 0, validationCodes.NIL_ENVELOPE);
  const payload = orRefuse(validationCodes.BAD_PAYLOAD, () => readAsGo(PayloadSchema, signed));
  const { header } = payload;
  if (header === undefined) throw new Unreadable(validationCodes.BAD_PAYLOAD);
  const badHeader = validationCodes.BAD_COMMON_HEADER;
  const channelHeader = orRefuse(badHeader, () => readAsGo(ChannelHeaderSchema, header.channelHeader));
  const { nonce, creator } = orRefuse(badHeader, () => readAsGo(SignatureHeaderSchema, header.signatureHeader));
  const { type, epoch, txId } = channelHeader;
  demand(type !== headerTypes.config, validationCodes.INVALID_CONFIG_TRANSACTION);
  demand(type === headerTypes.endorserTransaction, validationCodes.UNKNOWN_TX_TYPE);
  demand(epoch === 0n && nonce.length > 0 && creator.length > 0, badHeader);
  demand(channelHeader.channelId === channelId, validationCodes.TARGET_CHAIN_NOT_FOUND);
  const signer = signers.judge(creator);
  demand(
    signer !== undefined && isSignedToFabric(signed, signature, signer.key),
    validationCodes.BAD_CREATOR_SIGNATURE,
  );
  demand(txId === txIdOf(nonce, creator), validationCodes.BAD_PROPOSAL_TXID);
  return { payload, channelHeader, creatorDoubt: signer.doubt };
}

function readCall(
  { header, data }: Payload,
  { extension, txId }: ChannelHeader,
): Omit<ReadTransaction, "creatorDoubt"> {
  const invalid = validationCodes.INVALID_ENDORSER_TRANSACTION;
  const { actions } = orRefuse(invalid, () => readAsGo(TransactionSchema, data));
  const [action, ...others] = actions;
  if (action === undefined || others.length > 0 || header === undefined) throw new Unreadable(invalid);
  // Its own header counts for what was endorsed; the outer one for who signed the envelope.
  const proposed = orRefuse(invalid, () => readAsGo(SignatureHeaderSchema, action.header));
  demand(proposed.nonce.length > 0 && proposed.creator.length > 0, invalid);
  const payload = orRefuse(invalid, () => readAsGo(ChaincodeActionPayloadSchema, action.payload));
  const { proposalResponsePayload: responsePayload = new Uint8Array(), endorsements = [] } = payload.action ?? {};
  const response = orRefuse(invalid, () => readAsGo(ProposalResponsePayloadSchema, responsePayload));
  const hash = proposalHash(
    { channelHeader: header.channelHeader, signatureHeader: action.header },
    payload.chaincodeProposalPayload,
  );
  demand(payload.chaincodeProposalPayload.length > 0 && hash.equals(response.proposalHash), invalid);
  const { results, events, chaincodeId } = orRefuse(validationCodes.BAD_RESPONSE_PAYLOAD, () =>
    readAsGo(ChaincodeActionSchema, response.extension),
  );
  const called = orRefuse(invalid, () => readAsGo(ChaincodeHeaderExtensionSchema, extension)).chaincodeId?.name ?? "";
  const isSame = called !== "" && chaincodeId?.name === called && chaincodeId.version !== "";
  demand(isSame, validationCodes.INVALID_CHAINCODE);
  if (events.length > 0) {
    const event = orRefuse(validationCodes.INVALID_OTHER_REASON, () => readAsGo(ChaincodeEventSchema, events));
    demand(event.chaincodeId === called, validationCodes.INVALID_OTHER_REASON);
  }
  return { txId, chaincode: called, responsePayload, endorsements, results };
}

function orRefuse<T>(code: ValidationCode, read: () => T): T {
  try {
    return read();
  } catch {
    throw new Unreadable(code);
  }
}

function demand(isRight: boolean, code: ValidationCode): asserts isRight {
  if (!isRight) throw new Unreadable(code);
}
