import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../errors.ts";
import { packAny } from "../../messages/any.ts";
import {
  SessionMsgPayloadSchema,
  type SessionSetupCompleteResponse,
  type SessionTXResponse,
} from "../../messages/generated/fpc/tl_session_pb.ts";
import { type Attester, decodeEvidence, type EvidenceCheck, encodeEvidence } from "./attestation.ts";
import { decodeOffer, encodeAnswer, offerTranscript, sessionNonceBytes } from "./key-exchange.ts";
import {
  errorOf,
  readSessionMessage,
  requireMac,
  type SessionMessage,
  writeSessionMessage,
} from "./session-message.ts";
import { agreeOnKeys, isMacOf, makeMac, newSessionPair, type SessionKeys } from "./transcript.ts";

export interface RequesterSettings {
  readonly channelId: string;
  /** SHA-256 of the channel's genesis block: the ledger enclave has to follow this one. */
  readonly channelHash: Uint8Array;
  readonly chaincodeId: string;
  /** Upper-case hexadecimal. */
  readonly enclaveId: string;
  readonly erccName: string;
  readonly attest: Attester;
  readonly check: EvidenceCheck;
}

/** Carries one message to the ledger enclave and its answer back; whoever carries them is not trusted. */
export type Carrier = (message: Uint8Array) => Promise<Uint8Array>;

/** The session is of no more use, as the ledger enclave may have been started again: a new one may help. */
export class SessionLost extends Error {
  override readonly name = "SessionLost";
  readonly reason: EnclaveError;

  constructor(reason: EnclaveError) {
    super(reason.message);
    this.reason = reason;
  }
}

const requestNonceBytes = 24;

/** A chaincode enclave's end of its session with the ledger enclave. One request at a time. */
export class RequesterSession {
  readonly #carry: Carrier;
  readonly #id: bigint;
  readonly #keys: SessionKeys;
  #number = 0n;

  private constructor(carry: Carrier, id: bigint, keys: SessionKeys) {
    this.#carry = carry;
    this.#id = id;
    this.#keys = keys;
  }

  /**
   * @throws EnclaveError BAD_EVIDENCE: not the ledger enclave that is believed; BAD_SIGNATURE, REPLAY: altered, or of another
   *   session; WRONG_CONTEXT: it follows another channel; MALFORMED; LEDGER_UNAVAILABLE, or what it refuses with
   */
  static async open(carry: Carrier, settings: RequesterSettings): Promise<RequesterSession> {
    const { channelId, chaincodeId, enclaveId, erccName, attest, check } = settings;
    const init = {
      case: "stpIntReq",
      value: { channelId, chaincodeId, enclaveId, erccName, nonce: randomBytes(sessionNonceBytes) },
    } as const;
    const initBytes = packAny(SessionMsgPayloadSchema, create(SessionMsgPayloadSchema, { payload: init })).value;
    const offered = await exchange(carry, writeSessionMessage(init, undefined), undefined);
    requireMac(offered, undefined);
    if (offered.payload.case !== "stpIntRsp") throw unexpected(offered);
    const { sessionId, msg1 } = offered.payload.value;
    const offer = decodeOffer(msg1);
    const transcript = offerTranscript(initBytes, sessionId, offer.publicKey, offer.nonce);
    await check(transcript.digest(), decodeEvidence(offer.attestationEvidence));
    const pair = newSessionPair();
    transcript.add("offer-evidence", offer.attestationEvidence).add("answer", pair.publicKey);
    const evidence = encodeEvidence(await attest(transcript.digest()));
    const said = transcript.add("answer-evidence", evidence).digest();
    const keys = agreeOnKeys(pair.privateKey, offer.publicKey, said);
    const answer = encodeAnswer(pair.publicKey, evidence, makeMac(keys.requester, "confirmation", said));
    const complete = { case: "stpCmpReq", value: { sessionId, msg2: answer } } as const;
    const completed = await exchange(carry, writeSessionMessage(complete, keys.requester), keys);
    requireMac(completed, keys.responder);
    if (completed.payload.case !== "stpCmpRsp") throw unexpected(completed);
    requireCompletes(
      completed.payload.value,
      sessionId,
      settings,
      isMacOf(keys.responder, "confirmation", said, completed.payload.value.msg3),
    );
    return new RequesterSession(carry, sessionId, keys);
  }

  /**
   * @returns trusted_ledger.Response, to this request
   * @throws SessionLost; EnclaveError BAD_SIGNATURE: altered; REPLAY: the answer to another request; MALFORMED; or what the
   *   ledger enclave refuses with
   */
  async request(bytes: Uint8Array): Promise<Uint8Array> {
    this.#number += 1n;
    const nonce = randomBytes(requestNonceBytes);
    nonce.writeBigUInt64BE(this.#number);
    const request = { case: "txReq", value: { sessionId: this.#id, nonce, request: bytes } } as const;
    const answered = await exchange(this.#carry, writeSessionMessage(request, this.#keys.requester), this.#keys);
    requireMac(answered, this.#keys.responder);
    if (answered.payload.case !== "txRsp") throw unexpected(answered);
    return responseTo(answered.payload.value, this.#id, nonce);
  }

  async close(): Promise<void> {
    const request = { case: "clsReq", value: { sessionId: this.#id } } as const;
    await exchange(this.#carry, writeSessionMessage(request, this.#keys.requester), this.#keys);
  }
}

/** @throws SessionLost for an error without a MAC, EnclaveError for an authentic one */
async function exchange(carry: Carrier, message: Buffer, keys: SessionKeys | undefined): Promise<SessionMessage> {
  const answer = readSessionMessage(await carry(message));
  if (answer.payload.case !== "error") return answer;
  const error = errorOf(answer.payload.value);
  if (keys === undefined) throw error;
  // Whoever carries messages can say that there is no such session; then there is none to go on with.
  if (answer.mac.length === 0) throw new SessionLost(error);
  requireMac(answer, keys.responder);
  throw error;
}

function requireCompletes(
  { sessionId, channelId, channelHash, chaincodeId, enclaveId }: SessionSetupCompleteResponse,
  expectedId: bigint,
  settings: RequesterSettings,
  confirmed: boolean,
): void {
  if (!confirmed || sessionId !== expectedId)
    throw new EnclaveError("BAD_SIGNATURE", "the ledger enclave does not confirm what was said");
  if (!Buffer.from(settings.channelHash).equals(channelHash) || channelId !== settings.channelId)
    throw new EnclaveError("WRONG_CONTEXT", `the ledger enclave follows another channel than ${settings.channelId}`);
  if (chaincodeId !== settings.chaincodeId || enclaveId !== settings.enclaveId)
    throw new EnclaveError("WRONG_CONTEXT", "the ledger enclave opened a session for another enclave");
}

function responseTo({ sessionId, nonce, respoonse }: SessionTXResponse, id: bigint, expected: Buffer): Uint8Array {
  if (sessionId !== id || !expected.equals(nonce))
    throw new EnclaveError("REPLAY", "the ledger enclave's answer is to another request");
  return respoonse;
}

function unexpected({ payload }: SessionMessage): EnclaveError {
  return new EnclaveError("REPLAY", `a message ${payload.case} came where another one was due`);
}
