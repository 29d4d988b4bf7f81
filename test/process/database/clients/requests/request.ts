/** One request of a sequence that an instance and plain influxd are both asked. */
import type { Question } from "../../proxy/exchange.ts";

export interface Request {
  readonly ask: Question;
  /** What plain influxd is asked in its place: the same without the words that it does not know. Null: it is not asked. */
  readonly plainly?: Question | null;
  /** What encryption adds: the body that the instance answers with, whole; all the rest is as from plain influxd. */
  readonly body?: string;
  /** Where plain influxd is not asked, or answers otherwise: the status of the instance's answer. */
  readonly status?: number;
  /**
   * What has to be equal where not everything is (times, numbers of processes): the series and columns of the answer, or
   * status and headers alone. @defaultValue `"all"`
   */
  readonly same?: "all" | "shape" | "head";
}

export type Fields = Readonly<Record<string, string>>;

export const formType = "application/x-www-form-urlencoded";

const encoded = (fields: Fields): string => new URLSearchParams(fields).toString();

/** A GET of /query, its database `enc` unless told. */
export function read(q: string, more: Fields = {}, headers: Fields = {}): Request {
  return { ask: { target: `/query?${encoded({ db: "enc", q, ...more })}`, headers } };
}

/** A POST of /query with everything in the target and no body. */
export function run(q: string, more: Fields = {}, headers: Fields = {}): Request {
  return { ask: { method: "POST", target: `/query?${encoded({ q, ...more })}`, headers } };
}

/** A POST of /query with a form. */
export function form(fields: Fields, target: Fields = {}, headers: Fields = {}): Request {
  const query = encoded(target);
  return {
    ask: {
      method: "POST",
      target: query === "" ? "/query" : `/query?${query}`,
      headers: { "Content-Type": formType, ...headers },
      body: encoded(fields),
    },
  };
}

/** A POST of /query with a multipart form; the field `file:NAME` is sent as a file. */
export function multipart(fields: Fields, target: Fields = {}): Request {
  const parts = Object.entries(fields).map(([name, value]) => {
    const file = name.startsWith("file:") ? '; filename="queries.txt"\r\nContent-Type: application/octet-stream' : "";
    return `--b\r\nContent-Disposition: form-data; name="${name.replace(/^file:/, "")}"${file}\r\n\r\n${value}\r\n`;
  });
  const headers = { "Content-Type": "multipart/form-data; boundary=b" };
  return {
    ask: { method: "POST", target: `/query?${encoded(target)}`, headers, body: `${parts.join("")}--b--\r\n` },
  };
}

/** A POST of /write, to `enc` unless told. */
export function write(lines: string | Buffer, more: Fields = {}, headers: Fields = {}): Request {
  return { ask: { method: "POST", target: `/write?${encoded({ db: "enc", ...more })}`, headers, body: lines } };
}

export function http(method: string, target: string, headers: Fields = {}, body?: string | Buffer): Request {
  return { ask: { method, target, headers, body } };
}

/** The same, with a clause that plain influxd is asked without. */
export function withClause(q: string, stock: string, ask: (q: string) => Request): Request {
  return { ...ask(q), plainly: ask(stock).ask };
}

/** What the instance alone is asked: plain influxd has nothing like it. */
export function alone(request: Request, status: number, body: string): Request {
  return { ...request, plainly: null, status, body };
}
