import { Agent, request } from "node:http";

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

/** A client of InfluxDB's HTTP with one connection, which it keeps. */
export class Client {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(port: number) {
    this.#port = port;
  }

  /** @throws Error for any answer but 204. */
  async write(database: string, lines: Buffer): Promise<void> {
    const { status, body } = await this.#ask("POST", `/write?db=${database}`, lines);
    if (status !== 204) throw new Error(`a write was answered with ${status}: ${body}`);
  }

  /** @throws Error for a query that failed. */
  async query(text: string, database = ""): Promise<Buffer> {
    const parameters = new URLSearchParams({ q: text, db: database, epoch: "ns" });
    const method = /^(SELECT|SHOW)/.test(text) ? "GET" : "POST";
    const { status, body } = await this.#ask(method, `/query?${parameters}`);
    if (status !== 200 || body.includes('"error"')) throw new Error(`${text}: ${status} ${body}`);
    return body;
  }

  close(): void {
    this.#agent.destroy();
  }

  #ask(method: string, path: string, content?: Buffer): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const headers = content === undefined ? {} : { "Content-Length": content.length };
    const outgoing = request({ host: "127.0.0.1", port: this.#port, method, path, headers, agent: this.#agent });
    outgoing.once("error", reject);
    outgoing.once("response", (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.once("error", reject);
      incoming.once("end", () => resolve({ status: incoming.statusCode ?? 0, body: Buffer.concat(chunks) }));
    });
    outgoing.end(content);
    return promise;
  }
}
