import { ChannelHeaderSchema, EnvelopeSchema, PayloadSchema } from "../messages/generated/fabric/common_pb.ts";
import {
  ChaincodeActionPayloadSchema,
  type Endorsement,
  TransactionSchema,
} from "../messages/generated/fabric/peer_pb.ts";
import { readResponsePayload, type SimulationResult } from "./endorsement.ts";
import { readMessage } from "./fabric-message.ts";
import { isSignedLowS } from "./low-s.ts";
import type { Membership } from "./membership.ts";
import { headerTypes, type ReadProposal, readHeaders, readInvocation, txIdOf } from "./proposal.ts";
import { type ValidationCode, validationCodes } from "./validation-codes.ts";

/** An ordered call of a chaincode whose creator's signature is right and whose parts fit each other. */
export interface ReadTransaction {
  readonly proposal: ReadProposal;
  readonly responsePayload: Uint8Array;
  readonly endorsements: readonly Endorsement[];
  readonly action: SimulationResult;
}

export interface Refusal {
  readonly code: ValidationCode;
  /** Where it could be read. */
  readonly txId: string | undefined;
}

/** @param bytes - common.Envelope */
export function readTransaction(
  bytes: Uint8Array,
  { channelId, membership }: { readonly channelId: string; readonly membership: Membership },
): ReadTransaction | Refusal {
  let txId: string | undefined;
  const refuse = (code: ValidationCode): Refusal => ({ code, txId });
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch {
      return undefined;
    }
  };
  const envelope = attempt(() => readMessage(EnvelopeSchema, bytes));
  if (envelope === undefined || envelope.payload.length === 0) return refuse(validationCodes.NIL_ENVELOPE);
  const payload = attempt(() => readMessage(PayloadSchema, envelope.payload));
  const header = payload?.header;
  if (payload === undefined || header === undefined) return refuse(validationCodes.BAD_PAYLOAD);
  const channelHeader = attempt(() => readMessage(ChannelHeaderSchema, header.channelHeader));
  if (channelHeader === undefined) return refuse(validationCodes.BAD_COMMON_HEADER);
  if (channelHeader.type === headerTypes.config) return refuse(validationCodes.INVALID_CONFIG_TRANSACTION);
  if (channelHeader.type !== headerTypes.endorserTransaction) return refuse(validationCodes.UNKNOWN_TX_TYPE);
  if (channelHeader.channelId !== channelId) return refuse(validationCodes.TARGET_CHAIN_NOT_FOUND);
  const headers = attempt(() => readHeaders(header));
  if (headers === undefined) return refuse(validationCodes.BAD_PROPOSAL_TXID);
  const creator = membership.identify(headers.creator);
  if (creator === undefined || !isSignedLowS(envelope.payload, envelope.signature, creator.key))
    return refuse(validationCodes.BAD_CREATOR_SIGNATURE);
  // Only from here on is it known to be its creator's; another's transaction must not take an id.
  txId = txIdOf(headers.nonce, headers.creator);

  const transaction = attempt(() => readMessage(TransactionSchema, payload.data));
  const [action, ...others] = transaction?.actions ?? [];
  if (action === undefined || others.length > 0 || !Buffer.from(header.signatureHeader).equals(action.header))
    return refuse(validationCodes.INVALID_ENDORSER_TRANSACTION);
  const actionPayload = attempt(() => readMessage(ChaincodeActionPayloadSchema, action.payload));
  const endorsed = actionPayload?.action;
  if (actionPayload === undefined || endorsed === undefined)
    return refuse(validationCodes.INVALID_ENDORSER_TRANSACTION);
  const invocation = attempt(() => readInvocation(header, actionPayload.chaincodeProposalPayload));
  if (invocation === undefined) return refuse(validationCodes.INVALID_ENDORSER_TRANSACTION);
  const responsePayload = endorsed.proposalResponsePayload;
  const simulated = attempt(() => readResponsePayload(responsePayload));
  if (simulated === undefined) return refuse(validationCodes.BAD_RESPONSE_PAYLOAD);
  if (!invocation.hash.equals(simulated.proposalHash)) return refuse(validationCodes.INVALID_ENDORSER_TRANSACTION);
  if (simulated.chaincode.name !== invocation.chaincode) return refuse(validationCodes.INVALID_CHAINCODE);
  return {
    proposal: { ...headers, ...invocation },
    responsePayload,
    endorsements: endorsed.endorsements,
    action: simulated,
  };
}
