import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import { PassThrough, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGzip } from "node:zlib";
import { answerError } from "./answers.ts";
import type { Influxd } from "./influxd.ts";
import type { ChangedQuery } from "./query-request.ts";

/** Headers that belong to one connection (RFC 9110 §7.6.1). Transfer-Encoding stays: both sides speak it as it is. */
const ofTheConnection = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "expect"];
/** How long an answer's head waits for what follows: influxd sends the head of a query's answer before it runs the query. */
const headWaitsMs = 5;
/** What an answer that must be settled may hold back for a slow client before influxd has to wait for it. */
const heldBytes = 64 * 1024 * 1024;
/** Smaller chunks are left to the collection of garbage. */
const leastReleasedBytes = 4096;

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
  if (body !== undefined) outgoing.end(body);
  else if (request.complete) outgoing.end(whole(request));
  else sendBody(request, outgoing);
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

/** The body of a message that has come whole: what is read at once may be the first of its chunks only. */
function whole(message: IncomingMessage): Buffer | undefined {
  const chunks: Buffer[] = [];
  for (let chunk = message.read(); chunk !== null; chunk = message.read()) chunks.push(chunk);
  const [first, ...others] = chunks;
  return others.length === 0 ? first : Buffer.concat(chunks);
}

function sendBody(request: IncomingMessage, outgoing: ClientRequest): void {
  const send = (chunk: Buffer<ArrayBuffer>): void => {
    const goesOn = outgoing.write(chunk, (error) => {
      if (error === undefined || error === null) release(chunk);
    });
    if (!goesOn) request.pause();
  };
  const end = () => outgoing.end();
  const stop = (): void => {
    request.off("data", send);
    request.off("end", end);
    request.resume();
  };
  request.on("aborted", () => outgoing.destroy());
  outgoing.on("error", stop);
  outgoing.on("close", stop);
  outgoing.on("drain", () => request.resume());
  request.on("end", end);
  request.on("data", send);
}

/** Gives a chunk's memory back when it has been sent: with megabytes of it around, garbage was collected for a third of the time. */
function release({ buffer, length }: Buffer<ArrayBuffer>): void {
  if (length >= leastReleasedBytes && buffer.byteLength === length) buffer.transfer(0);
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
  const kept = withoutConnection(incoming.rawHeaders, changing === undefined ? [] : ["content-length"]);
  const headers = [...(zips ? ["Content-Encoding", "gzip"] : []), ...kept].map(withoutControls);
  response.sendDate = false;
  const old = request.httpVersion === "1.0";
  response.writeHead(status, incoming.statusMessage, old ? dropped(headers, ["transfer-encoding"]) : headers);
  const stages: Transform[] = changing === undefined ? [] : [changing];
  if (zips) stages.push(createGzip({ flush: constants.Z_SYNC_FLUSH }));
  if (settle === undefined && stages.length === 0) return passWhole(incoming, response);
  sendTogether(incoming, response);
  if (settle === undefined) return pipeline([incoming, ...stages, response]);
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

/**
 * Sends the head with as much of the body as comes with what follows it, and alone if nothing follows soon: a short answer is one
 * packet, and its client is woken once.
 */
function sendTogether(incoming: IncomingMessage, response: ServerResponse): void {
  response.cork();
  const send = (): void => {
    const isOpen = !response.writableEnded && !response.destroyed;
    // flushHeaders() would send the head as UTF-8, and what influxd says of a name that is not ASCII twice so.
    if (isOpen && response.writableLength === 0) response.write(Buffer.alloc(0));
    response.uncork();
  };
  const late = setTimeout(send, headWaitsMs);
  incoming.once("data", () => {
    // Nothing is lost when it has been sent just now: `uncork` without a `cork` does nothing.
    clearTimeout(late);
    setImmediate(send);
  });
}

/** What `pipeline` does, for a tenth of its time; an answer that has come whole needs no streaming. */
function passWhole(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  response.on("error", reject);
  response.on("finish", resolve);
  response.on("close", () => reject(new Error("the client has gone")));
  if (incoming.complete) {
    response.end(whole(incoming));
    return promise;
  }
  incoming.on("error", reject);
  incoming.on("close", () => incoming.complete || reject(new Error("the connection was closed")));
  sendTogether(incoming, response);
  incoming.pipe(response);
  return promise;
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
  const kept: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    if (!names.includes(name.toLowerCase())) kept.push(name, rawHeaders[at + 1] ?? "");
  }
  return kept;
}

/** A header's value may hold none (RFC 9110 §5.5); influxd's error about a strange line does. */
function withoutControls(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  return value.replace(/[\x00-\x08\x0a-\x1f\x7f]/g, " ");
}

function acceptsGzip(request: IncomingMessage): boolean {
  return String(request.headers["accept-encoding"] ?? "").includes("gzip");
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
