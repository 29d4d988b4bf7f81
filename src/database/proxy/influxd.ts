import { Agent, type ClientRequest, request } from "node:http";
import type { Socket } from "node:net";
import { encodePair } from "./form.ts";
import type { QueryRequest } from "./query-request.ts";

/** Where influxd listens: on this machine only. A socket's path has at most 107 bytes (unix(7)). */
export type InfluxdAddress = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/** What influxd says to a question that the proxy asks in a client's name. */
export interface Reply {
  readonly status: number;
  /** As received, names and values in turn. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

/** Answers to the proxy's own questions are short lists. */
const maximumReplyBytes = 16 * 1024 * 1024;
const replyTimeoutMs = 30_000;
/** Otherwise the agent looks for an address in the header Host of each request, for TLS. */
const noTls = { servername: "" };

/** Connections that stay: Node's own agent parses each answer's headers for how long, which influxd does not limit. */
class KeptConnections extends Agent {
  override keepSocketAlive(socket: Socket): boolean {
    if (socket.timeout) socket.setTimeout(0);
    socket.unref();
    return true;
  }
}

/** influxd, as the proxy reaches it. */
export class Influxd {
  readonly #address: () => InfluxdAddress;
  readonly #agent = new KeptConnections({ keepAlive: true });

  /** @param address - A function where it changes: asked for each request. */
  constructor(address: InfluxdAddress | (() => InfluxdAddress)) {
    this.#address = typeof address === "function" ? address : () => address;
  }

  /** Begins a request. `headers` are raw: names and values in turn, sent as they are. */
  request(method: string, target: string, headers: readonly string[]): ClientRequest {
    // influxd puts what it refuses into the header of its error as it came, control characters too.
    const insecureHTTPParser = true;
    return request({
      ...this.#address(),
      method,
      path: target,
      headers,
      setHost: false,
      ...noTls,
      agent: this.#agent,
      insecureHTTPParser,
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  /**
   * Asks influxd something with the credentials, default database and bound parameters of a client's request.
   *
   * @throws Whatever the connection fails with, or an Error for an answer that is too long or too late.
   */
  async ask(asker: Asker, text: string): Promise<Reply> {
    const body = Buffer.from(
      [
        encodePair("q", text),
        encodePair("db", asker.database),
        ...(asker.rawParameters === "" ? [] : [encodePair("params", asker.rawParameters)]),
      ].join("&"),
    );
    const headers = ["Host", "localhost", "Accept", "application/json"];
    headers.push("Content-Type", "application/x-www-form-urlencoded", "Content-Length", String(body.length));
    if (asker.authorization !== undefined) headers.push("Authorization", asker.authorization);
    const outgoing = this.request("POST", `/query${asker.credentials}`, headers);
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    outgoing.setTimeout(replyTimeoutMs, () => outgoing.destroy(new Error("influxd does not answer in time")));
    outgoing.on("error", reject);
    outgoing.on("response", (incoming) => {
      const chunks: Buffer[] = [];
      let length = 0;
      incoming.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > maximumReplyBytes) incoming.destroy(new Error("influxd's answer is too long"));
      });
      incoming.on("error", reject);
      incoming.on("end", () =>
        resolve({ status: incoming.statusCode ?? 0, rawHeaders: incoming.rawHeaders, body: Buffer.concat(chunks) }),
      );
    });
    outgoing.end(body);
    return promise;
  }

  /** The databases that the asker may read or write; undefined when influxd does not tell. */
  async databases(asker: Asker): Promise<ReadonlySet<string> | undefined> {
    try {
      const reply = await this.ask(asker, "SHOW DATABASES");
      return reply.status === 200 ? databasesIn(reply.body, 0) : undefined;
    } catch {
      return undefined;
    }
  }

  /** The databases of all shards, by their numbers; none for who may not drop shards either. */
  async shards(asker: Asker): Promise<ReadonlyMap<number, string>> {
    const reply = await this.ask(asker, "SHOW SHARDS");
    return shardsIn(reply.body);
  }
}

/** Of SHOW SHARDS: each database's shards have their number and its name first. */
function shardsIn(body: Buffer): ReadonlyMap<number, string> {
  const rows = (resultIn(body, 0)?.series ?? []).flatMap(({ values }) => values ?? []);
  return new Map(rows.map(([shard, database]) => [Number(shard), String(database)]));
}

/** In whose name a question is asked. */
export interface Asker {
  readonly database: string;
  readonly rawParameters: string;
  /** The Authorization header. */
  readonly authorization: string | undefined;
  /** `?u=…&p=…`, or empty. */
  readonly credentials: string;
}

export function askerOf(
  query: Pick<QueryRequest, "database" | "rawParameters" | "targetPairs">,
  authorization?: string,
): Asker {
  const given = query.targetPairs.filter((pair) => pair.name === "u" || pair.name === "p");
  const credentials = given.length === 0 ? "" : `?${given.map(({ name, value }) => encodePair(name, value)).join("&")}`;
  return { database: query.database, rawParameters: query.rawParameters, authorization, credentials };
}

/** The names in the answer to SHOW DATABASES, statement `index` of an answer; undefined if there is no such answer. */
export function databasesIn(body: Buffer, index: number): ReadonlySet<string> | undefined {
  const answer = resultIn(body, index);
  const series = answer?.series?.[0];
  if (series?.name !== "databases") return undefined;
  return new Set((series.values ?? []).map((row) => String(row[0])));
}

interface Result {
  readonly statement_id?: number;
  readonly error?: string;
  readonly series?: readonly { readonly name?: string; readonly values?: readonly (readonly unknown[])[] }[];
}

/** The result of one statement in a JSON answer of influxd. */
export function resultIn(body: Buffer, index: number): Result | undefined {
  try {
    const answer: { results?: readonly Result[] } = JSON.parse(body.toString("utf8"));
    return answer.results?.find((result) => (result.statement_id ?? 0) === index);
  } catch {
    return undefined;
  }
}
