import type { KeyObject } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { EnvelopeSchema, HeaderSchema, PayloadSchema } from "../messages/generated/fabric/common_pb.ts";
import {
  ChaincodeActionPayloadSchema,
  ChaincodeActionSchema,
  type Endorsement,
  ProposalResponsePayloadSchema,
  ProposalResponseSchema,
  ProposalSchema,
  TransactionSchema,
} from "../messages/generated/fabric/peer_pb.ts";
import { readMessage, writeMessage } from "./fabric-message.ts";
import { isSignedLowS, signLowS } from "./low-s.ts";
import type { Identity, Membership } from "./membership.ts";
import { visiblePayload } from "./proposal.ts";

/** Fabric's bound: from here on a chaincode's answer is a failure, which nobody endorses. */
export const failureStatus = 400;

/** What a peer found by running the chaincode. */
export interface SimulationResult {
  readonly proposalHash: Uint8Array;
  /** kvrwset.TxReadWriteSet */
  readonly results: Uint8Array;
  readonly status: number;
  readonly message: string;
  readonly payload: Uint8Array;
  readonly chaincode: { readonly name: string; readonly version: string };
}

/** protos.ProposalResponse, signed: ECDSA over its payload and then the endorser. */
export function makeEndorsedResponse(
  result: SimulationResult,
  endorser: { readonly serialized: Uint8Array; readonly key: KeyObject },
): Buffer {
  const { status, message, payload } = result;
  const response = { status, message, payload };
  const action = create(ChaincodeActionSchema, { results: result.results, response, chaincodeId: result.chaincode });
  const responsePayload = toBinary(
    ProposalResponsePayloadSchema,
    create(ProposalResponsePayloadSchema, {
      proposalHash: result.proposalHash,
      extension: toBinary(ChaincodeActionSchema, action),
    }),
  );
  const signature = signLowS(Buffer.concat([responsePayload, endorser.serialized]), endorser.key);
  const endorsement = { endorser: endorser.serialized, signature };
  return writeMessage(
    ProposalResponseSchema,
    create(ProposalResponseSchema, { version: 1, response, payload: responsePayload, endorsement }),
  );
}

/** protos.ProposalResponse of a chaincode that refused: without an endorsement. */
export function makeFailedResponse(status: number, message: string): Buffer {
  return writeMessage(
    ProposalResponseSchema,
    create(ProposalResponseSchema, { version: 1, response: { status, message } }),
  );
}

/** A peer's answer, not verified. */
export interface ReadResponse {
  readonly status: number;
  readonly message: string;
  /** protos.ProposalResponsePayload */
  readonly responsePayload: Uint8Array;
  readonly endorsement: Endorsement | undefined;
}

/** @throws EnclaveError MALFORMED */
export function readResponse(bytes: Uint8Array): ReadResponse {
  const { response, payload, endorsement } = readMessage(ProposalResponseSchema, bytes);
  if (response === undefined) throw new EnclaveError("MALFORMED", "a peer's answer has no status");
  return { status: response.status, message: response.message, responsePayload: payload, endorsement };
}

/** What endorsers signed. @throws EnclaveError MALFORMED */
export function readResponsePayload(responsePayload: Uint8Array): SimulationResult {
  const { proposalHash, extension } = readMessage(ProposalResponsePayloadSchema, responsePayload);
  const { results, response, chaincodeId } = readMessage(ChaincodeActionSchema, extension);
  if (response === undefined || chaincodeId === undefined)
    throw new EnclaveError("MALFORMED", "an endorsed action has no answer, or does not say of which chaincode");
  const { status, message, payload } = response;
  const { name, version } = chaincodeId;
  return { proposalHash, results, status, message, payload, chaincode: { name, version } };
}

/**
 * Whose endorsement it is; undefined where the endorser is no member of the channel or the signature is not theirs over this
 * payload.
 *
 * @param atMs - As of {@link Membership.identify}
 */
export function verifyEndorsement(
  responsePayload: Uint8Array,
  { endorser, signature }: Pick<Endorsement, "endorser" | "signature">,
  membership: Membership,
  atMs?: number,
): Identity | undefined {
  const identity = membership.identify(endorser, atMs);
  if (identity === undefined) return undefined;
  return isSignedLowS(Buffer.concat([responsePayload, endorser]), signature, identity.key) ? identity : undefined;
}

/**
 * common.Envelope, as it goes to the orderer.
 *
 * @param proposal - protos.Proposal
 * @param sign - The creator's, over the message
 */
export async function makeEnvelope(
  proposal: Uint8Array,
  responsePayload: Uint8Array,
  endorsements: readonly Endorsement[],
  sign: (message: Uint8Array) => Promise<Uint8Array>,
): Promise<Buffer> {
  const { header: headerBytes, payload: proposalPayload } = readMessage(ProposalSchema, proposal);
  const header = readMessage(HeaderSchema, headerBytes);
  const actionPayload = create(ChaincodeActionPayloadSchema, {
    chaincodeProposalPayload: visiblePayload(proposalPayload),
    action: { proposalResponsePayload: responsePayload, endorsements: [...endorsements] },
  });
  const transaction = create(TransactionSchema, {
    actions: [{ header: header.signatureHeader, payload: toBinary(ChaincodeActionPayloadSchema, actionPayload) }],
  });
  const payload = toBinary(
    PayloadSchema,
    create(PayloadSchema, { header, data: toBinary(TransactionSchema, transaction) }),
  );
  const signature = await sign(payload);
  return writeMessage(EnvelopeSchema, create(EnvelopeSchema, { payload, signature }));
}
