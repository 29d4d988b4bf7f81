import { randomUUID } from "node:crypto";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { isOnRecord } from "../../custody/core.ts";
import { CustodyError } from "../../custody/errors.ts";
import type { Caller } from "../../custody/service.ts";
import { peerAddress } from "../fisco/peers.ts";
import { inputValue, readBody } from "../native/body.ts";
import { DoorError, failureAnswer } from "../native/failures.ts";
import type { RequestObserver } from "../observe.ts";
import { CallerGone } from "../request-body.ts";
import type { ActivityStreams } from "./activity-stream.ts";
import { ConsoleError } from "./errors.ts";
import { type PageFiles, sendPageFile } from "./page-files.ts";
import { type ConsoleRoute, type ConsoleServices, routes } from "./routes.ts";
import { checkHost, checkSameOrigin, securityHeaders } from "./same-origin.ts";
import { carriesToken, idFromCookies, type Session, type Sessions, sessionCookie } from "./sessions.ts";
import type { SignIn } from "./sign-in.ts";

export interface ConsoleDispatchOptions extends ConsoleServices {
  readonly files: PageFiles;
  readonly sessions: Sessions;
  readonly signIn: SignIn;
  readonly streams: ActivityStreams;
  /** Host names under which the console is served, in lower case. */
  readonly hostNames: ReadonlySet<string>;
  readonly observer: RequestObserver;
  readonly onUnexpected: (error: unknown, requestId: string) => void;
  readonly closing: () => boolean;
}

/** Carries the session's token with everything that changes state. */
export const tokenHeader = "strongroom-csrf";
/** What an open page asks by itself does not keep a session from going idle. */
const passive: ReadonlySet<string> = new Set(["/api/session", "/api/activity"]);
const maxUserAgentCharacters = 256;

/** Answers one request of a browser: a file of the page, or under `/api/` data as the session's principal. */
export function consoleDispatcher(options: ConsoleDispatchOptions): RequestListener {
  return (request, response) => {
    void answer(options, request, response);
  };
}

interface Attempt {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  action: string;
  caller: Caller | undefined;
}

async function answer(options: ConsoleDispatchOptions, request: IncomingMessage, response: ServerResponse) {
  const startedMs = performance.now();
  const attempt: Attempt = { request, response, requestId: randomUUID(), action: "page", caller: undefined };
  let result = "done";
  try {
    await perform(options, attempt);
  } catch (error) {
    if (error instanceof CallerGone) return;
    result = await refuse(options, attempt, error);
  } finally {
    options.observer.request("console", attempt.action, result, (performance.now() - startedMs) / 1000);
  }
}

async function perform(options: ConsoleDispatchOptions, attempt: Attempt): Promise<void> {
  const { request, response } = attempt;
  checkHost(request.headers.host, options.hostNames);
  const path = request.url ?? "";
  if (!path.startsWith("/api/")) {
    if (request.method !== "GET" && request.method !== "HEAD") throw new DoorError("METHOD_NOT_ALLOWED");
    if (!sendPageFile(options.files, request, response)) throw new DoorError("ROUTE_NOT_FOUND", "no such page");
    return;
  }
  attempt.action = "api";
  checkSameOrigin(request.method, request.headers);
  if (path === "/api/sign-in/code" || path === "/api/sign-in/certificate") return await signIn(options, attempt, path);

  const spki = options.signIn.certificateOf(request);
  const id = idFromCookies(request.headers.cookie) ?? "";
  const sessionNow = (use: boolean): Session => {
    const session = options.sessions.find(id, spki, use);
    if (session === undefined) throw new ConsoleError("SESSION_ENDED");
    return session;
  };
  const early = sessionNow(!passive.has(path));
  attempt.caller = callerOf(attempt, early.principal);
  if (request.method !== "GET" && !carriesToken(early, oneHeader(request, tokenHeader)))
    throw new ConsoleError("CROSS_SITE");

  if (path === "/api/session") return sendJson(options, attempt, sessionView(options, early));
  if (path === "/api/activity") return await stream(options, attempt, () => options.sessions.find(id, spki, false));
  if (path === "/api/sign-out") {
    if (request.method !== "POST") throw new DoorError("METHOD_NOT_ALLOWED");
    await readBody(request);
    options.sessions.end(id);
    await options.custody.acknowledge(attempt.caller, "strongroom:ConsoleSignOut");
    return sendJson(options, attempt, undefined, ["set-cookie", sessionCookie(undefined)]);
  }
  const route = routes.get(path);
  if (route === undefined) throw new DoorError("ROUTE_NOT_FOUND");
  attempt.action = route.name;
  if (request.method !== route.method) throw new DoorError("METHOD_NOT_ALLOWED");
  const body = await readBody(request);
  using secret = route.input === "secret" && body.length > 0 ? SecretBuffer.take(body) : undefined;
  // The session is asked again: what holds when the operation begins counts, not when its first byte came.
  const caller = callerOf(attempt, sessionNow(false).principal);
  const input = route.validate(inputOf(request, route, body));
  sendJson(options, attempt, await route.run(options, caller, input, secret));
}

async function signIn(options: ConsoleDispatchOptions, attempt: Attempt, path: string): Promise<void> {
  const { request } = attempt;
  attempt.action = "sign-in";
  if (request.method !== "POST") throw new DoorError("METHOD_NOT_ALLOWED");
  const stranger = callerOf(attempt, "");
  const { id, session } =
    path === "/api/sign-in/code"
      ? await options.signIn.withCode(stranger, () => readBody(request))
      : await options.signIn.withCertificate(stranger, request);
  attempt.caller = callerOf(attempt, session.principal);
  sendJson(options, attempt, sessionView(options, session), ["set-cookie", sessionCookie(id)]);
}

/** Who may read the audit chain may watch its counts: that is asked, and so on record, once for each stream. */
async function stream(options: ConsoleDispatchOptions, attempt: Attempt, session: () => Session | undefined) {
  const { caller, request, response } = attempt;
  attempt.action = "activity";
  if (request.method !== "GET") throw new DoorError("METHOD_NOT_ALLOWED");
  if (caller === undefined || options.closing()) throw new ConsoleError("SESSION_ENDED");
  await options.custody.audit.read(caller, { after: Number.MAX_SAFE_INTEGER, limit: 1 });
  options.streams.begin(response, () => session() !== undefined && !options.closing());
}

function sessionView({ custody }: ConsoleDispatchOptions, { principal, csrfToken, spkiSha256 }: Session) {
  const { account, region } = custody.identity;
  return { principal, account, region, csrfToken, signedInWith: spkiSha256 === undefined ? "code" : "certificate" };
}

function callerOf({ request, requestId }: Attempt, principal: string): Caller {
  const userAgent = request.headers["user-agent"]?.slice(0, maxUserAgentCharacters);
  const peer = peerAddress(request.socket.remoteAddress);
  return { principal, door: "console", peer, requestId, ...(userAgent === undefined ? {} : { userAgent }) };
}

function inputOf(request: IncomingMessage, { input, method, name }: ConsoleRoute, body: Buffer): unknown {
  return inputValue(request, { method, path: name, safe: false, input, answer: "json" }, body);
}

function oneHeader(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === "string" ? value : undefined;
}

function sendJson(
  { closing }: ConsoleDispatchOptions,
  { response, requestId }: Attempt,
  value: unknown,
  more: readonly string[] = [],
): void {
  const headers = [...securityHeaders, "x-request-id", requestId, "cache-control", "no-store", ...more];
  if (closing()) headers.push("connection", "close");
  if (value === undefined) {
    response.writeHead(204, headers).end();
    return;
  }
  const body = Buffer.from(JSON.stringify(value));
  headers.push("content-type", "application/json", "content-length", String(body.length));
  response.writeHead(200, headers).end(body);
}

/** Answers a refusal, with a record of it where custody has none; returns its code. */
async function refuse(options: ConsoleDispatchOptions, attempt: Attempt, error: unknown): Promise<string> {
  const { request, response, requestId } = attempt;
  const told = await accountFor(options, attempt, error);
  const { status, code, body } =
    told instanceof ConsoleError
      ? {
          ...told,
          status: told.status,
          body: Buffer.from(JSON.stringify({ error: { code: told.code, message: told.message }, requestId })),
        }
      : failureAnswer(told, requestId, options.onUnexpected);
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return code;
  }
  const headers = [...securityHeaders, "x-request-id", requestId, "cache-control", "no-store"];
  if (code === "SESSION_ENDED" && request.headers.cookie !== undefined)
    headers.push("set-cookie", sessionCookie(undefined));
  const unread = !request.complete;
  if (unread || options.closing()) headers.push("connection", "close");
  headers.push("content-type", "application/json", "content-length", String(body.length));
  response.writeHead(status, headers);
  response.end(request.method === "HEAD" ? undefined : body, unread ? () => request.destroy() : undefined);
  return code;
}

async function accountFor({ custody }: ConsoleDispatchOptions, attempt: Attempt, error: unknown): Promise<unknown> {
  const { caller, action, request } = attempt;
  const isForm =
    error instanceof ConsoleError ||
    (error instanceof DoorError && error.status < 500) ||
    (error instanceof CustodyError && error.status === 400 && !isOnRecord(error));
  // Files that are not there, and a page whose session has ended, happen to everybody.
  if (!isForm || action === "page" || error.code === "SESSION_ENDED") return error;
  if (caller === undefined) custody.countRefusal("console", peerAddress(request.socket.remoteAddress), error.code);
  else {
    try {
      await custody.recordRefused(caller, `console:${action}`, error.code);
    } catch (unrecorded) {
      return unrecorded;
    }
  }
  return error;
}
