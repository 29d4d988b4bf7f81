import { randomBytes } from "node:crypto";
import { EnclaveError } from "../errors.ts";
import type {
  SessionCloseRequest,
  SessionSetupCompleteRequest,
  SessionSetupInitRequest,
  SessionTXRequest,
} from "../messages/generated/fpc/tl_session_pb.ts";
import { type Attester, decodeEvidence, type Evidence, encodeEvidence } from "../trusted-ledger/session/attestation.ts";
import {
  decodeAnswer,
  encodeOffer,
  offerTranscript,
  requireNonce,
  sessionNonceBytes,
} from "../trusted-ledger/session/key-exchange.ts";
import {
  errorPayload,
  readSessionMessage,
  requireMac,
  type SessionMessage,
  writeSessionMessage,
} from "../trusted-ledger/session/session-message.ts";
import {
  agreeOnKeys,
  isMacOf,
  makeMac,
  newSessionPair,
  type SessionKeys,
  type SessionPair,
  type Transcript,
} from "../trusted-ledger/session/transcript.ts";

/** Who says to be at the other end. */
export interface Requester {
  readonly chaincodeId: string;
  /** Upper-case hexadecimal. */
  readonly enclaveId: string;
}

export interface ResponderSettings {
  readonly channelId: string;
  readonly channelHash: Uint8Array;
  readonly erccName: string;
  readonly attest: Attester;
  /** @throws EnclaveError BAD_EVIDENCE, or why this enclave is not heard */
  readonly check: (requester: Requester, statement: Uint8Array, evidence: Evidence) => Promise<void>;
  /** Answers trusted_ledger.Request. */
  readonly answer: (request: Uint8Array) => Promise<Uint8Array>;
  /** How many sessions are kept. @defaultValue `1024` */
  readonly mostOpen?: number;
}

interface Offered {
  readonly requester: Requester;
  readonly transcript: Transcript;
  readonly pair: SessionPair;
}

interface Open {
  readonly requester: Requester;
  readonly keys: SessionKeys;
  lastNumber: bigint;
}

const mostOffered = 64;
const usualMostOpen = 1024;
const requestNonceBytes = 24;

/** The ledger enclave's end of its sessions. Whatever arrives, there is an answer: a message, or tl_session.SessionError. It throws only where it is wrong itself. */
export class SessionResponder {
  readonly #settings: ResponderSettings;
  readonly #offered = new Map<bigint, Offered>();
  readonly #open = new Map<bigint, Open>();

  constructor(settings: ResponderSettings) {
    this.#settings = settings;
  }

  /** @param bytes - tl_session.SessionMsg. @returns The same. */
  async handle(bytes: Uint8Array): Promise<Buffer> {
    let sessionId = 0n;
    let key: Buffer | undefined;
    try {
      const message = readSessionMessage(bytes);
      const { payload } = message;
      if (payload.case === "stpIntReq") return await this.#offer(message, payload.value);
      if (payload.case !== "stpCmpReq" && payload.case !== "txReq" && payload.case !== "clsReq")
        throw new EnclaveError("MALFORMED", "the ledger enclave takes requests alone");
      sessionId = payload.value.sessionId;
      if (payload.case === "stpCmpReq") return await this.#complete(message, payload.value);
      const open = this.#find(sessionId);
      requireMac(message, open.keys.requester);
      key = open.keys.responder;
      if (payload.case === "clsReq") return this.#close(payload.value, key);
      return await this.#answer(open, payload.value);
    } catch (error) {
      if (!(error instanceof EnclaveError)) throw error;
      return writeSessionMessage(errorPayload(sessionId, error), key);
    }
  }

  async #offer(message: SessionMessage, init: SessionSetupInitRequest): Promise<Buffer> {
    requireMac(message, undefined);
    const { channelId, erccName, attest } = this.#settings;
    if (init.channelId !== channelId || init.erccName !== erccName)
      throw new EnclaveError("WRONG_CONTEXT", `the ledger enclave follows ${erccName} of channel ${channelId}`);
    if (init.chaincodeId === "" || !/^[0-9A-F]{64}$/.test(init.enclaveId))
      throw new EnclaveError("MALFORMED", "SessionSetupInitRequest does not say which enclave of which chaincode asks");
    requireNonce(init.nonce, "SessionSetupInitRequest.nonce");
    const sessionId = randomBytes(8).readBigUInt64BE();
    const pair = newSessionPair();
    const nonce = randomBytes(sessionNonceBytes);
    const transcript = offerTranscript(message.bytes, sessionId, pair.publicKey, nonce);
    const evidence = encodeEvidence(await attest(transcript.digest()));
    transcript.add("offer-evidence", evidence);
    const { chaincodeId, enclaveId } = init;
    keepAtMost(this.#offered, mostOffered);
    this.#offered.set(sessionId, { requester: { chaincodeId, enclaveId }, transcript, pair });
    const msg1 = encodeOffer(pair.publicKey, nonce, evidence);
    return writeSessionMessage({ case: "stpIntRsp", value: { sessionId, msg1 } }, undefined);
  }

  async #complete(message: SessionMessage, { sessionId, msg2 }: SessionSetupCompleteRequest): Promise<Buffer> {
    const offered = this.#offered.get(sessionId);
    if (offered === undefined) throw noSession();
    // One try an offer: whoever fails begins again.
    this.#offered.delete(sessionId);
    const { transcript, pair, requester } = offered;
    const { publicKey, attestationEvidence, mac } = decodeAnswer(msg2);
    const statement = transcript.add("answer", publicKey).digest();
    const said = transcript.add("answer-evidence", attestationEvidence).digest();
    const keys = agreeOnKeys(pair.privateKey, publicKey, said);
    requireMac(message, keys.requester);
    if (!isMacOf(keys.requester, "confirmation", said, mac))
      throw new EnclaveError("BAD_SIGNATURE", "the requester does not confirm what was said");
    await this.#settings.check(requester, statement, decodeEvidence(attestationEvidence));
    keepAtMost(this.#open, this.#settings.mostOpen ?? usualMostOpen);
    this.#open.set(sessionId, { requester, keys, lastNumber: 0n });
    const { channelId, channelHash } = this.#settings;
    const msg3 = makeMac(keys.responder, "confirmation", said);
    const value = { sessionId, msg3, channelId, channelHash, ...requester };
    return writeSessionMessage({ case: "stpCmpRsp", value }, keys.responder);
  }

  async #answer(open: Open, { sessionId, nonce, request }: SessionTXRequest): Promise<Buffer> {
    if (nonce.length !== requestNonceBytes)
      throw new EnclaveError("MALFORMED", `SessionTXRequest.nonce is not ${requestNonceBytes} bytes long`);
    const number = Buffer.from(nonce).readBigUInt64BE();
    if (number <= open.lastNumber)
      throw new EnclaveError("REPLAY", `request ${number} of the session came after request ${open.lastNumber}`);
    open.lastNumber = number;
    const value = { sessionId, nonce, respoonse: await this.#settings.answer(request) };
    return writeSessionMessage({ case: "txRsp", value }, open.keys.responder);
  }

  #close({ sessionId }: SessionCloseRequest, key: Buffer): Buffer {
    this.#open.delete(sessionId);
    return writeSessionMessage({ case: "clsRsp", value: { sessionId } }, key);
  }

  /** Found, it counts as the newest: what is dropped for a new one is what was quiet for longest. */
  #find(sessionId: bigint): Open {
    const open = this.#open.get(sessionId);
    if (open === undefined) throw noSession();
    this.#open.delete(sessionId);
    this.#open.set(sessionId, open);
    return open;
  }
}

function keepAtMost(sessions: Map<bigint, unknown>, most: number): void {
  for (const sessionId of sessions.keys()) {
    if (sessions.size < most) return;
    sessions.delete(sessionId);
  }
}

function noSession(): EnclaveError {
  return new EnclaveError("LEDGER_UNAVAILABLE", "there is no such session with the ledger enclave: open one");
}
