import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import { PassThrough, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGzip } from "node:zlib";
import { answerError } from "./answers.ts";
import type { Influxd } from "./influxd.ts";
import type { ChangedQuery } from "./query-request.ts";

/** Headers that belong to one connection (RFC 9110 §7.6.1). Transfer-Encoding stays: both sides speak it as it is. */
const ofTheConnection = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "expect"];
/** What an answer that must be settled may hold back for a slow client before influxd has to wait for it. */
const heldBytes = 64 * 1024 * 1024;

/** How a request is passed on. All of it is optional: without any, everything passes as it is. */
export interface ForwardOptions {
  /** The body, if it has been read already; with `settle` it has to be, so that the client may go. */
  readonly body?: Buffer | undefined;
  readonly change?: ChangedQuery | undefined;
  /** What an answer of status 200 and this content type goes through. */
  readonly transform?: ((contentType: string) => Transform | undefined) | undefined;
  /**
   * Waited for between influxd's last byte and the last that the client gets; must not reject. Runs once however the request
   * ends (without a status when no answer came), and influxd is listened to until its end even if the client has gone.
   */
  readonly settle?: ((status: number | undefined) => Promise<void>) | undefined;
}

/**
 * Passes a request on to influxd and the answer back, byte for byte but for what the options say; streaming, as fast as the
 * slower side. A client that goes away ends influxd's work; if influxd can't be reached the client gets 502.
 */
export async function forward(
  influxd: Influxd,
  request: IncomingMessage,
  response: ServerResponse,
  options: ForwardOptions = {},
): Promise<void> {
  const outgoing = influxd.request(
    request.method ?? "GET",
    options.change?.target ?? request.url ?? "/",
    requestHeaders(request, options),
  );
  const answered = answerTo(outgoing);
  const mayLeave = options.settle === undefined;
  const left = (): void => {
    if (mayLeave && !response.writableFinished) outgoing.destroy();
  };
  response.on("close", left);
  const body = options.change?.body ?? options.body;
  if (body === undefined) sendBody(request, outgoing);
  else outgoing.end(body);
  let settled: Promise<void> | undefined;
  const settle = (status: number | undefined): Promise<void> => {
    settled ??= options.settle?.(status) ?? Promise.resolve();
    return settled;
  };
  try {
    const incoming = await answered;
    await passBack(incoming, request, response, options, mayLeave ? undefined : settle);
  } catch (error) {
    await settle(undefined);
    if (response.destroyed) return;
    if (response.headersSent) response.destroy();
    else answerError(response, { accept: "", pretty: false }, 502, `influxd does not answer: ${reason(error)}`);
  } finally {
    response.off("close", left);
    request.resume();
  }
}

/** influxd's answer; it may come before all of the request has gone out, and an error of the sending then counts no more. */
function answerTo(outgoing: ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  outgoing.on("response", resolve);
  outgoing.on("error", reject);
  outgoing.on("close", () => reject(new Error("the connection was closed")));
  return promise;
}

function sendBody(request: IncomingMessage, outgoing: ClientRequest): void {
  request.on("aborted", () => outgoing.destroy());
  outgoing.on("error", () => request.unpipe(outgoing));
  request.pipe(outgoing);
}

async function passBack(
  incoming: IncomingMessage,
  request: IncomingMessage,
  response: ServerResponse,
  options: ForwardOptions,
  settle: ((status: number) => Promise<void>) | undefined,
): Promise<void> {
  const status = incoming.statusCode ?? 502;
  const changing = status === 200 ? options.transform?.(incoming.headers["content-type"] ?? "") : undefined;
  const zips = changing !== undefined && acceptsGzip(request);
  const headers = withoutConnection(incoming.rawHeaders, changing === undefined ? [] : ["content-length"]);
  if (zips) headers.push("Content-Encoding", "gzip");
  response.sendDate = false;
  const old = request.httpVersion === "1.0";
  response.writeHead(status, incoming.statusMessage, old ? dropped(headers, ["transfer-encoding"]) : headers);
  response.flushHeaders();
  const stages: Transform[] = changing === undefined ? [] : [changing];
  if (zips) stages.push(createGzip({ flush: constants.Z_SYNC_FLUSH }));
  if (settle === undefined) {
    await pipeline([incoming, ...stages, response]);
    return;
  }
  const held = new PassThrough({ readableHighWaterMark: heldBytes, writableHighWaterMark: heldBytes });
  const drain = (): void => {
    held.unpipe(response);
    held.resume();
  };
  held.pipe(response);
  response.on("close", drain);
  if (response.destroyed) drain();
  await pipeline([incoming, ...stages, settling(() => settle(status)), held]);
}

/** Passes everything on but keeps the last piece until `settle` is done, so that no client takes the answer for complete. */
function settling(settle: () => Promise<void>): Transform {
  let last: Buffer | undefined;
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      const before = last;
      last = chunk;
      callback(null, before);
    },
    flush(callback) {
      settle().then(
        () => callback(null, last),
        (error: unknown) => callback(error instanceof Error ? error : new Error(String(error))),
      );
    },
  });
}

function requestHeaders(request: IncomingMessage, options: ForwardOptions): string[] {
  const { change } = options;
  const drop: string[] = [];
  // A client that speaks HTTP/1.0 may leave it out; influxd is spoken to in HTTP/1.1.
  const host = request.headers.host === undefined ? ["Host", "localhost"] : [];
  if (options.transform !== undefined) drop.push("accept-encoding");
  if (change?.body === undefined) return [...host, ...withoutConnection(request.rawHeaders, drop)];
  drop.push("content-length", "transfer-encoding", ...(change.contentType === undefined ? [] : ["content-type"]));
  const headers = [...host, ...withoutConnection(request.rawHeaders, drop)];
  headers.push("Content-Length", String(change.body.length));
  if (change.contentType !== undefined) headers.push("Content-Type", change.contentType);
  return headers;
}

function withoutConnection(rawHeaders: readonly string[], more: readonly string[]): string[] {
  const named = rawHeaders.flatMap((name, at) =>
    at % 2 === 0 && name.toLowerCase() === "connection" ? (rawHeaders[at + 1] ?? "").toLowerCase().split(/[\s,]+/) : [],
  );
  return dropped(rawHeaders, [...ofTheConnection, ...named, ...more]);
}

function dropped(rawHeaders: readonly string[], names: readonly string[]): string[] {
  return rawHeaders.filter((_, at) => !names.includes((rawHeaders[at - (at % 2)] ?? "").toLowerCase()));
}

function acceptsGzip(request: IncomingMessage): boolean {
  return String(request.headers["accept-encoding"] ?? "").includes("gzip");
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
