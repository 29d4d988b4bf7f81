import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../errors.ts";
import {
  type KeyExchangeAnswer,
  KeyExchangeAnswerSchema,
  type KeyExchangeOffer,
  KeyExchangeOfferSchema,
} from "../../messages/generated/fpc/tl_session_pb.ts";
import { decodeStrict, encode } from "../../messages/strict.ts";
import { Transcript } from "./transcript.ts";

export const sessionNonceBytes = 32;

/** What both sides have said up to the offer's key: the statement that the responder attests. @param init - The payload that began it. */
export function offerTranscript(
  init: Uint8Array,
  sessionId: bigint,
  publicKey: Uint8Array,
  nonce: Uint8Array,
): Transcript {
  const id = Buffer.alloc(8);
  id.writeBigUInt64BE(sessionId);
  return new Transcript().add("init", init).add("offer", Buffer.concat([id, publicKey, nonce]));
}

export function encodeOffer(publicKey: Uint8Array, nonce: Uint8Array, evidence: Uint8Array): Buffer {
  const offer = create(KeyExchangeOfferSchema, { publicKey, nonce, attestationEvidence: evidence });
  return encode(KeyExchangeOfferSchema, offer);
}

/** @throws EnclaveError MALFORMED */
export function decodeOffer(bytes: Uint8Array): KeyExchangeOffer {
  const offer = decodeStrict(KeyExchangeOfferSchema, bytes, ["public_key", "nonce", "attestation_evidence"]);
  requireNonce(offer.nonce, "KeyExchangeOffer.nonce");
  return offer;
}

export function encodeAnswer(publicKey: Uint8Array, evidence: Uint8Array, mac: Uint8Array): Buffer {
  const answer = create(KeyExchangeAnswerSchema, { publicKey, attestationEvidence: evidence, mac });
  return encode(KeyExchangeAnswerSchema, answer);
}

/** @throws EnclaveError MALFORMED */
export function decodeAnswer(bytes: Uint8Array): KeyExchangeAnswer {
  return decodeStrict(KeyExchangeAnswerSchema, bytes, ["public_key", "attestation_evidence", "mac"]);
}

/** @throws EnclaveError MALFORMED */
export function requireNonce(nonce: Uint8Array, name: string): void {
  if (nonce.length !== sessionNonceBytes)
    throw new EnclaveError("MALFORMED", `${name} is ${nonce.length} bytes long, and not ${sessionNonceBytes}`);
}
