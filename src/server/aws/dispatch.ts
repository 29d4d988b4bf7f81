import { randomUUID } from "node:crypto";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { TLSSocket } from "node:tls";
import { isOnRecord } from "../../custody/core.ts";
import { CustodyError } from "../../custody/errors.ts";
import type { Caller, CustodyService } from "../../custody/service.ts";
import { peerAddress } from "../fisco/peers.ts";
import type { RequestObserver } from "../observe.ts";
import { peerNetwork, type RateLimit } from "../rate-limit.ts";
import { BodyTooLarge, CallerGone, readRequestBody } from "../request-body.ts";
import { type AnswerBytes, encodeAnswer } from "./answer.ts";
import { AwsError, type AwsFailure, awsFailureOf } from "./errors.ts";
import { readInput } from "./input.ts";
import type { AwsOperation } from "./operation.ts";
import { awsOperation, unsupportedOperations } from "./operations/table.ts";
import { EndedAccessKeyError, type SignatureVerifier } from "./sigv4.ts";

export interface AwsDispatchOptions {
  readonly custody: CustodyService;
  readonly verifier: SignatureVerifier;
  /** The operation of a name, as the table has them. @defaultValue {@link awsOperation} */
  readonly operations?: (name: string) => AwsOperation | undefined;
  /** Requests of each principal. */
  readonly callers: RateLimit;
  /** Requests of each network that could not be authenticated. */
  readonly strangers: RateLimit;
  readonly observer: RequestObserver;
  /** Unix milliseconds. */
  readonly clock: () => number;
  /** Told of errors that no one foresaw; the caller only learns the request id. */
  readonly onUnexpected: (error: unknown, requestId: string) => void;
  /** True while the server shuts down: connections end with their answer. */
  readonly closing: () => boolean;
}

/** A key policy has 32 KiB and may double when its quotes are escaped; everything else is shorter. */
export const maxRequestBytes: number = 256 * 1024;
const maxUserAgentCharacters = 256;
const contentType = "application/x-amz-json-1.1";
const targetPattern = /^TrentService\.([A-Za-z]{1,64})$/;

/** A request and, as far as they are known, who sent it and what it asks for. */
interface Attempt {
  readonly request: IncomingMessage;
  readonly requestId: string;
  readonly peer: string;
  caller: Caller | undefined;
  operation: AwsOperation | undefined;
}

/**
 * Answers one request: check the head, read the body, verify the signature by the state of this moment, do, answer.
 * Who signed is asked after the body has come in: the answer holds at the moment the operation starts.
 */
export function awsDispatcher(options: AwsDispatchOptions): RequestListener {
  return (request, response) => {
    void answer(options, request, response);
  };
}

async function answer(options: AwsDispatchOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const startedMs = performance.now();
  const peer = peerAddress(request.socket.remoteAddress);
  const attempt: Attempt = { request, requestId: randomUUID(), peer, caller: undefined, operation: undefined };
  let result = "done";
  try {
    send(options, attempt, response, 200, await perform(options, attempt));
  } catch (error) {
    if (error instanceof CallerGone) return;
    const failure = await accountFor(options, attempt, error);
    result = failure.type;
    send(options, attempt, response, failure.status, failureBytes(failure));
  } finally {
    const seconds = (performance.now() - startedMs) / 1000;
    options.observer.request("aws", attempt.operation?.name ?? "unknown", result, seconds);
  }
}

async function perform(options: AwsDispatchOptions, attempt: Attempt): Promise<AnswerBytes> {
  const { custody, verifier, callers, operations = awsOperation } = options;
  const { request, requestId, peer } = attempt;
  const { method = "", url = "", rawHeaders } = request;
  const claim = verifier.examine({ method, url, rawHeaders });
  if (method !== "POST" || url !== "/") throw unknownOperation();
  const body = await readRequestBody(request, maxRequestBytes);
  try {
    const { principal, accessKeyId } = verifier.verify(claim, body);
    const caller: Caller = {
      principal: principal.arn,
      door: "aws",
      peer,
      requestId,
      accessKeyId,
      secureTransport: request.socket instanceof TLSSocket,
      ...userAgentOf(claim.headers.get("user-agent")),
    };
    attempt.caller = caller;
    const name = operationName(claim.headers);
    const operation = name === undefined ? undefined : operations(name);
    attempt.operation = operation;
    if (!callers.take(caller.principal)) throw throttled();
    if (operation === undefined)
      throw name !== undefined && unsupportedOperations.has(name) ? unsupportedOperation() : unknownOperation();
    using input = readInput(body, operation.secretMembers ?? []);
    const reply = await operation.run({ custody, caller }, input.value);
    return reply === undefined ? noBytes : encodeAnswer(reply);
  } finally {
    body.fill(0);
  }
}

const noBytes: AnswerBytes = { bytes: Buffer.alloc(0), secret: false };

function operationName(headers: ReadonlyMap<string, string>): string | undefined {
  if (headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() !== contentType) return undefined;
  return targetPattern.exec(headers.get("x-amz-target") ?? "")?.[1];
}

/** For the audit record: no byte that a terminal would act on. */
function userAgentOf(header: string | undefined): Pick<Caller, "userAgent"> {
  if (header === undefined) return {};
  return { userAgent: header.replace(/[^\x20-\x7e]/g, "?").slice(0, maxUserAgentCharacters) };
}

/**
 * What to answer, with the refusal accounted for where custody has not done so: a known caller's on record under its name, a
 * stranger's as one more of its kind, and of an ended access key under its user's name. A stranger that keeps coming is only
 * told so.
 */
async function accountFor(options: AwsDispatchOptions, attempt: Attempt, thrown: unknown): Promise<AwsFailure> {
  const { custody, strangers } = options;
  const { caller, operation, peer } = attempt;
  const error = thrown instanceof BodyTooLarge ? tooLarge() : thrown;
  const failure = failureOf(options, attempt, error);
  if (caller === undefined) {
    try {
      await accountForStranger(options, attempt, error, failure);
    } catch (unrecorded) {
      return failureOf(options, attempt, unrecorded);
    }
    return strangers.take(peerNetwork(peer)) ? failure : failureOf(options, attempt, throttled());
  }
  if (!isUnrecorded(error)) return failure;
  try {
    await custody.recordRefused(caller, `aws:${operation?.name ?? "unknown"}`, failure.type);
    return failure;
  } catch (unrecorded) {
    return failureOf(options, attempt, unrecorded);
  }
}

async function accountForStranger(
  { custody }: AwsDispatchOptions,
  { request, requestId, peer }: Attempt,
  error: unknown,
  { type }: AwsFailure,
): Promise<void> {
  if (!(error instanceof EndedAccessKeyError)) return custody.countRefusal("aws", peer, type);
  const agent = userAgentOf(request.headers["user-agent"]);
  await custody.users.recordEndedAccessKey(error.accessKeyId, { door: "aws", peer, requestId, ...agent });
}

function failureOf({ onUnexpected }: AwsDispatchOptions, { requestId }: Attempt, error: unknown): AwsFailure {
  const failure = awsFailureOf(error);
  if (failure !== undefined) return failure;
  onUnexpected(error, requestId);
  return { status: 500, type: "KMSInternalException", message: `The request failed; its id is ${requestId}.` };
}

/** Refused for its form or its rate, before custody decided: custody's own refusals are on record. */
function isUnrecorded(error: unknown): boolean {
  if (!(error instanceof AwsError)) return error instanceof CustodyError && error.status === 400 && !isOnRecord(error);
  if (error.cause instanceof CustodyError) return isUnrecorded(error.cause);
  return error.status < 500;
}

function send(
  { clock, closing }: AwsDispatchOptions,
  { request, requestId }: Attempt,
  response: ServerResponse,
  status: number,
  { bytes, secret }: AnswerBytes,
): void {
  const wipe = () => {
    if (secret) bytes.fill(0);
  };
  if (response.headersSent || response.destroyed) {
    wipe();
    response.destroy();
    return;
  }
  // A response closes when the connection has taken all of it, and when the connection is gone.
  if (secret) response.once("close", wipe);
  // A body that was not read to its end would be taken for the next request.
  const unread = !request.complete;
  const headers = ["x-amzn-RequestId", requestId, "Date", httpDate(clock())];
  headers.push("Cache-Control", "no-cache, no-store", "Content-Type", contentType);
  headers.push("Content-Length", String(bytes.length));
  if (unread || closing()) headers.push("Connection", "close");
  response.writeHead(status, headers);
  response.end(bytes, unread ? () => request.destroy() : undefined);
}

let lastDate = { second: 0, text: new Date(0).toUTCString() };

/** The answers of one second have the same date. `ms`: Unix milliseconds. */
function httpDate(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (lastDate.second !== second) lastDate = { second, text: new Date(ms).toUTCString() };
  return lastDate.text;
}

function failureBytes({ type, message }: AwsFailure): AnswerBytes {
  return { bytes: Buffer.from(JSON.stringify({ __type: type, message })), secret: false };
}

function unknownOperation(): AwsError {
  return new AwsError("UnknownOperationException");
}

function unsupportedOperation(): AwsError {
  return new AwsError("UnsupportedOperationException");
}

function throttled(): AwsError {
  return new AwsError(
    "ThrottlingException",
    "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
  );
}

function tooLarge(): AwsError {
  return new AwsError("RequestEntityTooLargeException", `The request is over ${maxRequestBytes} bytes.`, {
    status: 413,
  });
}
