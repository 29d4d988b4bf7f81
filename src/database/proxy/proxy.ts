import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { answerError } from "./answers.ts";
import type { EncryptionCatalogue } from "./catalogue.ts";
import { ClientConnections } from "./client-connections.ts";
import { quoted } from "./encryption-changes.ts";
import { formValue, readForm } from "./form.ts";
import { forward } from "./forward.ts";
import { askerOf, Influxd, type InfluxdAddress } from "./influxd.ts";
import { type ProxyEvent, QueryDoor } from "./query-door.ts";
import { RequestGate } from "./request-gate.ts";

export interface DatabaseProxyOptions {
  /** A function where it changes. */
  readonly influxd: InfluxdAddress | (() => InfluxdAddress);
  /** Where clients connect. Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly catalogue: EncryptionCatalogue;
  readonly note?: (event: ProxyEvent) => void;
  /** How long a request may take to arrive. @defaultValue `300_000` */
  readonly requestTimeoutMs?: number;
  /** How many clients may be connected at once. @defaultValue `4096` */
  readonly maximumConnections?: number;
  /** How long a form with a query may be; InfluxDB reads no more of one either. @defaultValue 10 MiB */
  readonly maximumFormBytes?: number;
  /** How long requests wait while they are held, before they get 503. @defaultValue `4_000` */
  readonly longestWaitMs?: number;
}

/** As much as InfluxDB allows in a request's head: a GET carries its whole query there. */
const maximumHeadBytes = 1024 * 1024;
const headTimeoutMs = 60_000;
/** influxd never closes an idle connection; senders come every ten seconds or every minute and should find theirs open. */
const idleTimeoutMs = 180_000;
const retryAfterSeconds = 5;

/**
 * The proxy in front of influxd: InfluxDB 1.x over HTTP, with encryption clauses in CREATE DATABASE, ALTER DATABASE …
 * ENCRYPTION, the column `encrypted` in SHOW DATABASES, and a refusal that names the missing setting where an encrypted
 * database is used without one. Everything else passes byte for byte.
 */
export class DatabaseProxy {
  readonly #server: Server;
  readonly #influxd: Influxd;
  readonly #catalogue: EncryptionCatalogue;
  readonly #queries: QueryDoor;
  readonly #note: (event: ProxyEvent) => void;
  readonly #running = new Set<Promise<void>>();
  readonly #gate: RequestGate;

  /** Starts one; it listens when this resolves. Rejects with Node's error when it can't. */
  static async open(options: DatabaseProxyOptions): Promise<DatabaseProxy> {
    const proxy = new DatabaseProxy(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    proxy.#server.once("error", reject);
    proxy.#server.listen(options.listen.port, options.listen.host, resolve);
    await promise;
    proxy.#server.off("error", reject);
    return proxy;
  }

  private constructor(options: DatabaseProxyOptions) {
    const { catalogue, note = () => {} } = options;
    this.#influxd = new Influxd(options.influxd);
    this.#catalogue = catalogue;
    this.#note = note;
    this.#gate = new RequestGate(options.longestWaitMs ?? 4_000);
    this.#queries = new QueryDoor(this.#influxd, catalogue, options.maximumFormBytes ?? 10 * 1024 * 1024, note);
    this.#server = createServer({
      maxHeaderSize: maximumHeadBytes,
      headersTimeout: headTimeoutMs,
      requestTimeout: options.requestTimeoutMs ?? 300_000,
      keepAliveTimeout: idleTimeoutMs,
      keepAlive: true,
    });
    this.#server.maxConnections = options.maximumConnections ?? 4096;
    const connections = new ClientConnections();
    this.#server.on("clientError", (error, socket) => connections.refuse(error, socket));
    this.#server.on("request", (request, response) => {
      const answered = connections
        .turn(request, response)
        .then((isThere) => (isThere ? this.#admit(request, response) : undefined))
        .catch((error: unknown) => this.#failed(response, error));
      this.#running.add(answered);
      void answered.finally(() => this.#running.delete(answered));
    });
  }

  /** The port that is listened on. */
  get port(): number {
    const address: AddressInfo | string | null = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /**
   * Takes no more connections, ends idle ones and waits for the requests that run.
   *
   * @param withinMs - How long to wait before they are cut off. What changes a database's encryption is finished even so.
   */
  async close(withinMs = 10_000): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeIdleConnections();
    const late = setTimeout(() => this.#server.closeAllConnections(), withinMs);
    await promise;
    clearTimeout(late);
    await Promise.allSettled(this.#running);
    this.#influxd.close();
  }

  /**
   * From now on requests wait; those that wait too long get 503 with Retry-After, upon which senders keep their points. Resolves
   * when the requests that run are done, or after `withinMs`.
   */
  hold(withinMs: number): Promise<void> {
    return this.#gate.shut(withinMs);
  }

  /** Ends {@link hold}. */
  goOn(): void {
    this.#gate.open();
  }

  async #admit(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (await this.#gate.pass(async () => (response.destroyed ? undefined : this.#answer(request, response)))) return;
    response.setHeader("Retry-After", String(retryAfterSeconds));
    const form = { accept: request.headers.accept ?? "", pretty: false };
    answerError(response, form, 503, "a database is being converted, and influxd is away: try again");
    request.resume();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = request.url ?? "";
    const mark = target.indexOf("?");
    const path = pathOf(mark === -1 ? target : target.slice(0, mark));
    if (path === "/query") return this.#queries.answer(request, response);
    const missing = this.#catalogue.available();
    const rawQuery = mark === -1 ? "" : target.slice(mark + 1);
    if (missing !== undefined && (await this.#refusesUse(path, rawQuery, request, response, missing))) return;
    return forward(this.#influxd, request, response);
  }

  /** Refuses a request for the data of an encrypted database, if the asker may know of that database at all. */
  async #refusesUse(
    path: string,
    rawQuery: string,
    request: IncomingMessage,
    response: ServerResponse,
    missing: string,
  ): Promise<boolean> {
    const targetPairs = readForm(rawQuery, "spoils");
    const database = databaseOf(path, (name) => formValue(targetPairs, name) ?? "");
    if (database === undefined || !this.#catalogue.isEncrypted(database)) return false;
    const asker = askerOf({ database, rawParameters: "", targetPairs }, request.headers.authorization);
    const visible = await this.#influxd.databases(asker);
    if (visible?.has(database) !== true) return false;
    // 503: senders such as Telegraf keep their points and try again, while they throw them away at a 400.
    const form = { accept: request.headers.accept ?? "", pretty: false };
    answerError(response, form, 503, `database ${quoted(database)} is encrypted: ${missing}`);
    request.resume();
    return true;
  }

  #failed(response: ServerResponse, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#note({ what: "request failed", reason });
    if (response.headersSent) response.destroy();
    else answerError(response, { accept: "", pretty: false }, 502, `influxd does not answer: ${reason}`);
  }
}

/** The path of a request target, unescaped as InfluxDB's router sees it; of an absolute target (RFC 9112 §3.2.2) as well. */
function pathOf(target: string): string {
  const path = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, "");
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** The database whose data a path other than /query is about. */
function databaseOf(path: string, value: (name: string) => string): string | undefined {
  if (path === "/write" || path === "/api/v1/prom/write" || path === "/api/v1/prom/read") return value("db");
  if (path === "/api/v2/write" || path === "/api/v2/delete") return value("bucket").split("/")[0];
  return undefined;
}
