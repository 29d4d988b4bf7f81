import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import type { EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import { type ResponderSettings, SessionResponder } from "../../../../src/enclave/ledger-enclave/session-responder.ts";
import {
  SessionMsgPayloadSchema,
  SessionMsgSchema,
} from "../../../../src/enclave/messages/generated/fpc/tl_session_pb.ts";
import type { RequesterSettings } from "../../../../src/enclave/trusted-ledger/session/requester.ts";
import {
  readSessionMessage,
  type SessionMessage,
} from "../../../../src/enclave/trusted-ledger/session/session-message.ts";
import { fakeCheck, fakeEvidence } from "./fake-evidence.ts";

export const enclaveId = "AB".repeat(32);
export const channelHash = Buffer.alloc(32, 7);
export const common = { channelId: "private-channel", channelHash, erccName: "ercc" };

export function requesterSettings(changed: Partial<RequesterSettings> = {}): RequesterSettings {
  const attest = fakeEvidence("requester");
  return { ...common, chaincodeId: "auction", enclaveId, attest, check: fakeCheck("ledger enclave"), ...changed };
}

export function newResponder(changed: Partial<ResponderSettings> = {}): SessionResponder {
  const check = fakeCheck("requester");
  return new SessionResponder({
    ...common,
    attest: fakeEvidence("ledger enclave"),
    check: (_, statement, evidence) => check(statement, evidence),
    answer: async (request) => Buffer.from(`answer to ${Buffer.from(request)}`),
    ...changed,
  });
}

/** Everything that goes over the host, which may change it. */
export class Host {
  readonly responder: SessionResponder;
  readonly sent: Buffer[] = [];
  readonly received: Buffer[] = [];
  request: (message: Buffer, count: number) => Uint8Array = (message) => message;
  response: (message: Buffer, count: number) => Uint8Array = (message) => message;

  constructor(responder = newResponder()) {
    this.responder = responder;
  }

  readonly carry = async (message: Uint8Array): Promise<Uint8Array> => {
    const sent = Buffer.from(message);
    this.sent.push(sent);
    const answer = await this.responder.handle(this.request(sent, this.sent.length));
    this.received.push(answer);
    return this.response(answer, this.received.length);
  };
}

export const bytes = (text: string) => Buffer.from(text);

export async function assertRefused(action: Promise<unknown>, ...codes: EnclaveErrorCode[]): Promise<void> {
  await assert.rejects(
    action,
    (error: { code?: EnclaveErrorCode; reason?: { code: EnclaveErrorCode }; message: string }) => {
      const code = error.code ?? error.reason?.code;
      assert.ok(code !== undefined && codes.includes(code), `${code}: ${error.message}`);
      return true;
    },
  );
}

/** The error in a message of the ledger enclave. */
export function refusalIn(answer: Uint8Array): string {
  const { payload } = readSessionMessage(answer);
  assert.equal(payload.case, "error");
  return payload.value.errorMsg;
}

/** A message with something changed and its old MAC. */
export function forged(message: Uint8Array, change: (payload: SessionMessage["payload"]) => void): Buffer {
  const { payload, mac } = readSessionMessage(message);
  change(payload);
  const value = toBinary(SessionMsgPayloadSchema, create(SessionMsgPayloadSchema, { payload }));
  const serializedPayload = { typeUrl: "type.googleapis.com/tl_session.SessionMsgPayload", value };
  return Buffer.from(toBinary(SessionMsgSchema, create(SessionMsgSchema, { serializedPayload, mac })));
}
