import type { ServerResponse } from "node:http";
import type { Reply } from "./influxd.ts";

/** What a request asks of the form of its answers. */
export interface AnswerForm {
  /** The Accept header, which InfluxDB compares as a whole. */
  readonly accept: string;
  readonly pretty: boolean;
}

/** Headers of an answer of influxd that an answer in its place keeps. */
const keptHeaders = /^(x-influxdb-(version|build)|www-authenticate|access-control-.*)$/i;
/** InfluxDB cuts the message there in its header. */
const maximumHeaderError = 1024;

/** Answers with an error of the whole request, as InfluxDB does: `{"error": …}`, and the message in a header. */
export function answerError(
  response: ServerResponse,
  form: AnswerForm,
  status: number,
  message: string,
  from?: Reply,
): void {
  const headers = keptOf(from);
  if (status !== 401) headers.push("X-Influxdb-Error", headerText(message));
  if (isCsv(form)) send(response, status, [...headers, "Content-Type", "text/csv"], `error\n${csvField(message)}\n`);
  else send(response, status, [...headers, "Content-Type", "application/json"], jsonText(form, { error: message }));
}

/**
 * Answers that none of a request's `count` statements was run, for a reason that lies with statement `index`: the form of
 * InfluxDB when a statement fails, status 200. InfluxDB's CSV has no place for it, so that there it is an error of the request.
 */
export function answerStatementError(
  response: ServerResponse,
  form: AnswerForm,
  count: number,
  index: number,
  message: string,
  from?: Reply,
): void {
  if (isCsv(form) || form.accept === "application/x-msgpack") {
    answerError(response, form, 400, message, from);
    return;
  }
  const results = Array.from({ length: count }, (_, at) => ({
    statement_id: at,
    error: at === index ? message : "not executed",
  }));
  send(response, 200, [...keptOf(from), "Content-Type", "application/json"], jsonText(form, { results }));
}

/** Answers that a lone statement was carried out. */
export function answerDone(response: ServerResponse, form: AnswerForm, from: Reply): void {
  const headers = keptOf(from);
  if (isCsv(form)) send(response, 200, [...headers, "Content-Type", "text/csv"], "");
  else {
    const answer = jsonText(form, { results: [{ statement_id: 0 }] });
    send(response, 200, [...headers, "Content-Type", "application/json"], answer);
  }
}

function isCsv(form: AnswerForm): boolean {
  return form.accept === "application/csv" || form.accept === "text/csv";
}

/** JSON as Go writes it: three characters escaped for HTML, four spaces of indent when pretty. */
function jsonText(form: AnswerForm, value: unknown): string {
  const text = JSON.stringify(value, null, form.pretty ? 4 : 0);
  return `${text.replace(/[<>&]/g, (each) => `\\u00${each.charCodeAt(0).toString(16)}`)}\n`;
}

function csvField(text: string): string {
  return /[",\n\r]|^\s/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A header may hold no control characters, and Node takes latin1 only. */
function headerText(message: string): string {
  const bytes = Buffer.from(message).toString("latin1");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  return bytes.replace(/[\x00-\x1f\x7f]/g, " ").slice(0, maximumHeaderError);
}

function keptOf(from: Reply | undefined): string[] {
  const raw = from?.rawHeaders ?? [];
  return raw.flatMap((name, at) => (at % 2 === 0 && keptHeaders.test(name) ? [name, raw[at + 1] ?? ""] : []));
}

function send(response: ServerResponse, status: number, headers: readonly string[], body: string): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, [...sorted(headers), "Content-Length", String(bytes.length)]);
  response.end(bytes);
}

/** Names and values in turn, by name, as InfluxDB sends them. */
function sorted(headers: readonly string[]): string[] {
  const pairs = headers.flatMap((name, at) => (at % 2 === 0 ? [{ name, value: headers[at + 1] ?? "" }] : []));
  return pairs.sort((left, right) => (left.name < right.name ? -1 : 1)).flatMap(({ name, value }) => [name, value]);
}
