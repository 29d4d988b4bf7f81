import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { EnclaveError, fromAbortText, toAbortText } from "../../errors.ts";
import { packAny, unpackAny } from "../../messages/any.ts";
import {
  type SessionError,
  type SessionMsgPayload,
  SessionMsgPayloadSchema,
  SessionMsgSchema,
} from "../../messages/generated/fpc/tl_session_pb.ts";
import { decodeStrict, encode } from "../../messages/strict.ts";
import { isMacOf, makeMac } from "./transcript.ts";

/** tl_session.SessionMsg as it was taken apart; the MAC is over `bytes`, the Any's value. */
export interface SessionMessage {
  readonly payload: SessionMsgPayload["payload"];
  readonly bytes: Uint8Array;
  readonly mac: Uint8Array;
}

/** @param key - Left out before keys are agreed on: the message has no MAC then, and whatever it says is only a proposal. */
export function writeSessionMessage(
  payload: NonNullable<MessageInitShape<typeof SessionMsgPayloadSchema>["payload"]>,
  key: Buffer | undefined,
): Buffer {
  const serializedPayload = packAny(SessionMsgPayloadSchema, create(SessionMsgPayloadSchema, { payload }));
  const mac = key === undefined ? new Uint8Array() : makeMac(key, "payload", serializedPayload.value);
  return encode(SessionMsgSchema, create(SessionMsgSchema, { serializedPayload, mac }));
}

/** Takes a message apart; {@link requireMac} has to follow before it is believed. @throws EnclaveError MALFORMED */
export function readSessionMessage(message: Uint8Array): SessionMessage {
  const { serializedPayload, mac } = decodeStrict(SessionMsgSchema, message);
  const { payload } = unpackAny(SessionMsgPayloadSchema, serializedPayload, "SessionMsg.serialized_payload", []);
  if (payload.case === undefined) throw new EnclaveError("MALFORMED", "SessionMsgPayload.payload is missing or empty");
  return { payload, bytes: serializedPayload?.value ?? new Uint8Array(), mac };
}

/** @param key - Undefined where none can be agreed on yet: there may be no MAC then. @throws EnclaveError BAD_SIGNATURE */
export function requireMac({ bytes, mac }: SessionMessage, key: Buffer | undefined): void {
  const right = key === undefined ? mac.length === 0 : isMacOf(key, "payload", bytes, mac);
  if (!right) throw new EnclaveError("BAD_SIGNATURE", "a message between enclaves is not authentic");
}

/** Of what a message that has no MAC says nothing is known but that the host passed it on. */
export function errorPayload(sessionId: bigint, error: EnclaveError) {
  const value = { sessionId, errorCode: error.exitCode, errorMsg: toAbortText(error) };
  return { case: "error", value } as const;
}

export function errorOf({ errorMsg }: SessionError): EnclaveError {
  const text = errorMsg.slice(0, 500);
  return fromAbortText(text) ?? new EnclaveError("LEDGER_UNAVAILABLE", `the ledger enclave refuses: ${text}`);
}
