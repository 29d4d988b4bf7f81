import { randomUUID } from "node:crypto";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { memberHeader } from "../../client/operations.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { isOnRecord } from "../../custody/core.ts";
import { CustodyError } from "../../custody/errors.ts";
import type { Caller } from "../../custody/service.ts";
import type { RequestObserver } from "../observe.ts";
import { CallerGone } from "../request-body.ts";
import { inputValue, readBody } from "./body.ts";
import type { Call, DoorServices, Endpoint, SecretReply } from "./endpoint.ts";
import { DoorError, type FailureAnswer, failureAnswer } from "./failures.ts";
import { endpointAt } from "./table.ts";

/** How a listener learns who is at the other end of a connection. */
export interface Authentication {
  /** For the audit record: `native` over TLS, `local` over the administration socket. */
  readonly door: "native" | "local";
  /** The peer's address, for the audit record. */
  peer(request: IncomingMessage): string;
  /** False when this connection can't have a principal, whatever custody says; asked before the body is read. */
  mayBeKnown(request: IncomingMessage): boolean;
  /** The caller, by the state of this moment; undefined for one that is not known or no longer enabled. */
  principal(request: IncomingMessage, requestId: string): Promise<Authenticated | undefined>;
}

export interface Authenticated extends Pick<Call, "principal" | "certificateNotAfterMs"> {
  readonly arn: string;
}

const maxUserAgentLength = 256;

export interface DispatchOptions extends DoorServices {
  readonly authentication: Authentication;
  readonly observer: RequestObserver;
  /** Told of errors that no one foresaw; the caller only learns the request id. */
  readonly onUnexpected: (error: unknown, requestId: string) => void;
  /** True while the server shuts down: connections end with their answer. */
  readonly closing: () => boolean;
}

/**
 * Answers one request: find the operation, read the body, ask custody who calls, validate, do, answer.
 *
 * Who calls is asked after the body has come in and before anything of it is looked at: the answer holds at the moment
 * the operation starts, and a stranger learns nothing but that it is one.
 */
export function dispatcher(options: DispatchOptions): RequestListener {
  return (request, response) => {
    void answer(options, request, response);
  };
}

async function answer(options: DispatchOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const startedMs = performance.now();
  const requestId = randomUUID();
  const endpoint = endpointAt(request.url);
  const attempt: Attempt = { request, endpoint, requestId, caller: undefined };
  let result = "done";
  try {
    const reply = await perform(options, attempt);
    await send(response, requestId, endpoint, reply, options.closing());
  } catch (error) {
    if (error instanceof CallerGone) return;
    const failure = failureAnswer(await accountFor(options, attempt, error), requestId, options.onUnexpected);
    result = failure.code;
    sendFailure(request, response, requestId, failure, options.closing());
  } finally {
    options.observer.request(
      options.authentication.door,
      endpoint?.name ?? "unknown",
      result,
      (performance.now() - startedMs) / 1000,
    );
  }
}

/** A request and, once it is known, who sent it. */
interface Attempt {
  readonly request: IncomingMessage;
  readonly endpoint: Endpoint | undefined;
  readonly requestId: string;
  caller: Caller | undefined;
}

/**
 * Puts a refusal that custody has no record of on record: of a known caller under its name, of a stranger as one more of
 * its kind. Returns what to answer: the refusal, or why it could not be recorded.
 */
async function accountFor(options: DispatchOptions, attempt: Attempt, error: unknown): Promise<unknown> {
  if (!isRefusedForm(error)) return error;
  const { custody, authentication } = options;
  const { caller, endpoint, request } = attempt;
  if (caller === undefined) custody.countRefusal(authentication.door, authentication.peer(request), error.code);
  else {
    try {
      await custody.recordRefused(caller, `native:${endpoint?.name ?? "unknown"}`, error.code);
    } catch (unrecorded) {
      return unrecorded;
    }
  }
  return error;
}

/** Refused before any operation decided: by the door itself, or by an operation's look at its arguments. */
function isRefusedForm(error: unknown): error is DoorError | CustodyError {
  if (error instanceof DoorError) return error.status < 500;
  return error instanceof CustodyError && error.status === 400 && !isOnRecord(error);
}

async function perform(options: DispatchOptions, attempt: Attempt): Promise<unknown> {
  const { authentication, custody, authority } = options;
  const { request, endpoint, requestId } = attempt;
  const open = endpoint?.open === true;
  if (!open && !authentication.mayBeKnown(request)) throw new DoorError("UNAUTHENTICATED");
  const callerOf = (known: Authenticated | undefined): Caller => ({
    principal: known?.arn ?? "",
    door: authentication.door,
    peer: authentication.peer(request),
    requestId,
    ...agentOf(request),
  });
  const body = await readBody(request).catch(async (error: unknown) => {
    if (open || error instanceof CallerGone) throw error;
    // The body is too large and gone, but who sent it goes on record.
    const known = await authentication.principal(request, requestId);
    if (known !== undefined) attempt.caller = callerOf(known);
    throw error;
  });
  const known = open ? undefined : await authentication.principal(request, requestId);
  if (!open && known === undefined) {
    body.fill(0);
    throw new DoorError("UNAUTHENTICATED");
  }
  const caller = callerOf(known);
  if (known !== undefined) attempt.caller = caller;
  if (endpoint === undefined) throw new DoorError("ROUTE_NOT_FOUND");
  if (request.method !== endpoint.operation.method) throw new DoorError("METHOD_NOT_ALLOWED");
  const call: Call = {
    custody,
    authority,
    ...(options.consoleCodes === undefined ? {} : { consoleCodes: options.consoleCodes }),
    caller,
    principal: known?.principal,
    certificateNotAfterMs: known?.certificateNotAfterMs,
  };
  if (endpoint.operation.input !== "secret")
    return endpoint.run(call, endpoint.validate(inputValue(request, endpoint.operation, body)), undefined);
  using secret = body.length > 0 ? SecretBuffer.take(body) : undefined;
  return await endpoint.run(call, endpoint.validate(inputValue(request, endpoint.operation, body)), secret);
}

/** What the caller's program calls itself, as it goes on record. */
function agentOf(request: IncomingMessage): { readonly userAgent?: string } {
  const agent = request.headers["user-agent"];
  return agent === undefined ? {} : { userAgent: agent.slice(0, maxUserAgentLength) };
}

/** Sends what the operation gave. A secret is wiped once the connection has taken it, or is gone. */
async function send(
  response: ServerResponse,
  requestId: string,
  endpoint: Endpoint | undefined,
  reply: unknown,
  closing: boolean,
): Promise<void> {
  const common = commonHeaders(requestId, closing);
  if (endpoint?.operation.answer === "none") {
    response.writeHead(204, common).end();
    return;
  }
  if (endpoint?.operation.answer === "json") {
    const body = Buffer.from(JSON.stringify(reply));
    response.writeHead(200, [...common, "content-type", "application/json", "content-length", String(body.length)]);
    response.end(body);
    return;
  }
  const { secret, members } = reply as SecretReply;
  using held = secret;
  if (response.destroyed) throw new CallerGone();
  for (const [name, value] of Object.entries(members)) common.push(memberHeader(name), String(value));
  common.push("content-type", "application/octet-stream", "content-length", String(held.byteLength));
  response.writeHead(200, common);
  await held.expose((bytes) => {
    // A response closes when the connection has taken all of it, and when the connection is gone.
    const closed = new Promise<void>((resolve) => response.on("close", resolve));
    response.end(bytes);
    return closed;
  });
}

function sendFailure(
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  { status, body }: FailureAnswer,
  closing: boolean,
): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  // A body that was not read to its end would be taken for the next request.
  const unread = !request.complete;
  const headers = [...commonHeaders(requestId, closing || unread)];
  headers.push("content-type", "application/json", "content-length", String(body.length));
  response.writeHead(status, headers);
  response.end(body, unread ? () => request.destroy() : undefined);
}

function commonHeaders(requestId: string, closing: boolean): string[] {
  const headers = ["x-request-id", requestId, "cache-control", "no-store"];
  if (closing) headers.push("connection", "close");
  return headers;
}
