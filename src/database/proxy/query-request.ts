import type { NameOfParameter } from "../influxql/statement.ts";
import { encodePair, type FormPair, formValue, goText, readForm, trimmed, withValue } from "./form.ts";
import { boundaryOf, readMultipart } from "./multipart.ts";

/** What the proxy needs of an incoming HTTP request; `target` is the request line's, in latin1 as Node gives it. */
export interface IncomingQuery {
  readonly target: string;
  readonly contentType: string;
  /** Undefined when InfluxDB would not look into the body for the query. */
  readonly body: Buffer | undefined;
}

/** The same request with another query text: what of it changes. */
export interface ChangedQuery {
  readonly target: string;
  readonly body: Buffer | undefined;
  /** Set when the content type changes as well. */
  readonly contentType?: string;
}

/** A request to /query as InfluxDB reads it. */
export interface QueryRequest {
  readonly text: string;
  /** The default database; empty when there is none. */
  readonly database: string;
  readonly nameOf: NameOfParameter;
  /** The raw text of the bound parameters; empty when there are none. */
  readonly rawParameters: string;
  readonly pretty: boolean;
  readonly async: boolean;
  /** The pairs of the target alone: this is where InfluxDB looks for `u` and `p`. */
  readonly targetPairs: readonly FormPair[];
  withText(text: string): ChangedQuery;
}

/** Whether InfluxDB looks for form fields in a body of this content type and method (Go's `Request.ParseMultipartForm`). */
export function hasForm(method: string, contentType: string): boolean {
  if (boundaryOf(contentType) !== undefined) return true;
  return (
    ["POST", "PUT", "PATCH"].includes(method) && /^application\/x-www-form-urlencoded[ \t]*(;|$)/i.test(contentType)
  );
}

/** What InfluxDB finds in a request to /query. */
export interface Readings {
  /** None when there is no query in it. */
  readonly found: readonly QueryRequest[];
  /**
   * Whether a raw semicolon in the target or form makes InfluxDB built with Go before 1.17 read something else than InfluxDB
   * built with a later one.
   */
  readonly ambiguous: boolean;
}

export function readQueryRequest(incoming: IncomingQuery): Readings {
  const spoilt = read(incoming, "spoils");
  if (!incoming.target.includes(";") && incoming.body?.includes(";") !== true)
    return { found: spoilt === undefined ? [] : [spoilt], ambiguous: false };
  const separated = read(incoming, "separates");
  const ambiguous = spoilt?.text !== separated?.text || spoilt?.database !== separated?.database;
  const found = (ambiguous ? [spoilt, separated] : [spoilt]).filter((each) => each !== undefined);
  return { found, ambiguous };
}

interface Field {
  readonly name: string;
  readonly value: string;
}

function read(incoming: IncomingQuery, semicolon: "separates" | "spoils"): QueryRequest | undefined {
  const { target, contentType, body } = incoming;
  const mark = target.indexOf("?");
  const rawQuery = mark === -1 ? "" : target.slice(mark + 1);
  const targetPairs = readForm(rawQuery, semicolon);
  const boundary = body === undefined ? undefined : boundaryOf(contentType);
  const parts = body === undefined || boundary === undefined ? undefined : (readMultipart(body, boundary) ?? []);
  const rawForm = body === undefined || parts !== undefined ? "" : body.toString("latin1");
  const formPairs = readForm(rawForm, semicolon);
  const partFields = (parts ?? [])
    .filter((part) => !part.isFile)
    .map(({ name, content }) => ({ name, value: goText(content) }));
  // Go puts the fields of an urlencoded body before those of the target, those of a multipart body behind them.
  const fields: readonly Field[] = [...formPairs, ...targetPairs, ...partFields];
  const value = (name: string): string => fields.find((field) => field.name === name)?.value ?? "";
  const file = parts?.find((part) => part.isFile && part.name === "q");
  const text = trimmed(value("q")) || (file === undefined ? "" : goText(file.content));
  if (text === "") return undefined;
  const rawParameters = value("params");
  return {
    text,
    database: value("db"),
    nameOf: namesIn(rawParameters),
    rawParameters,
    pretty: formValue(targetPairs, "pretty") === "true",
    async: value("async") === "true",
    targetPairs,
    withText: (other) => {
      if (parts !== undefined) return asForm(target, targetPairs, [...targetPairs, ...partFields], other);
      if (formPairs.some((pair) => pair.name === "q"))
        return { target, body: Buffer.from(withValue(rawForm, formPairs, "q", other), "latin1") };
      return { target: `${target.slice(0, mark + 1)}${withValue(rawQuery, targetPairs, "q", other)}`, body };
    },
  };
}

/** A multipart request as an urlencoded one that InfluxDB reads the same: each name once, with the value that counted. */
function asForm(target: string, inTarget: readonly FormPair[], fields: readonly Field[], text: string): ChangedQuery {
  const values = new Map<string, string>();
  for (const { name, value } of fields) if (!values.has(name)) values.set(name, value);
  for (const { name } of inTarget) if (name !== "q") values.delete(name);
  values.set("q", text);
  const form = [...values].map(([name, value]) => encodePair(name, value)).join("&");
  return { target, body: Buffer.from(form), contentType: "application/x-www-form-urlencoded" };
}

/** Bound parameters that stand for names: `{"name": {"identifier": "value"}}`, or `ident`. */
function namesIn(rawParameters: string): NameOfParameter {
  const names = new Map<string, string>();
  try {
    const values: unknown = rawParameters === "" ? {} : JSON.parse(rawParameters);
    for (const [parameter, value] of Object.entries(values ?? {})) {
      const [kind, ...others] = typeof value === "object" && value !== null ? Object.entries(value) : [];
      const isName = kind !== undefined && others.length === 0 && ["identifier", "ident"].includes(kind[0]);
      if (isName && typeof kind[1] === "string") names.set(parameter, kind[1]);
    }
  } catch {
    // InfluxDB refuses the request.
  }
  return (parameter) => names.get(parameter);
}
