/** One HTTP exchange with everything in sight: headers as sent, the bytes of the body. */
import { Agent, request } from "node:http";

export interface Question {
  readonly method?: string;
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer | undefined;
  readonly agent?: Agent;
  /** Take an answer whose headers hold control characters. */
  readonly lenient?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly bytes: Buffer;
  readonly text: string;
}

const once = new Agent({ keepAlive: false });

export async function exchange(port: number, question: Question): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const { method = "GET", target, headers = {}, body, agent = once, lenient = false } = question;
  const outgoing = request({
    ...{ host: "127.0.0.1", port, method, path: target, headers, agent },
    insecureHTTPParser: lenient,
  });
  outgoing.on("error", reject);
  outgoing.on("response", (incoming) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("error", reject);
    incoming.on("end", () => {
      const bytes = Buffer.concat(chunks);
      const raw = incoming.rawHeaders;
      const pairs = raw.flatMap((name, at) => (at % 2 === 0 ? [[name, raw[at + 1] ?? ""] as const] : []));
      resolve({ status: incoming.statusCode ?? 0, headers: pairs, bytes, text: bytes.toString("utf8") });
    });
  });
  outgoing.end(body);
  return promise;
}

/** The answer to a request that is refused before all of it is sent: whoever is still sending may find the connection cut. */
export async function answered(send: () => Promise<Answer>): Promise<Answer> {
  for (let triesLeft = 20; ; triesLeft--)
    try {
      return await send();
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : "";
      if (triesLeft === 0 || (code !== "EPIPE" && code !== "ECONNRESET")) throw error;
    }
}

/** A query, as POST with a form. */
export function query(port: number, q: string, more: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  return exchange(port, {
    method: "POST",
    target: "/query",
    headers,
    body: new URLSearchParams({ q, ...more }).toString(),
  });
}

/** A header's value; undefined if it was not sent. */
export function header(answer: Answer, name: string): string | undefined {
  return answer.headers.find(([each]) => each.toLowerCase() === name.toLowerCase())?.[1];
}
