/** Requests that make an encrypted database, in every spelling and place that a client may choose, and in some that none should. */
import fc from "fast-check";
import { statementWithClause, validStatement } from "../../../property/database/influxql/query-texts.ts";
import { latin1Bytes } from "./raw-request.ts";

export interface Spelling {
  /** The whole request, one character per byte. */
  readonly raw: string;
  /** What it would make. */
  readonly database: string;
  /** Whether it has to be done; others may be refused. */
  readonly usual: boolean;
}

const encoded = (text: string): string => encodeURIComponent(text.toWellFormed());
/** Every byte escaped, which is the same. */
const allEscaped = (text: string): string => latin1Bytes(text).replace(/[\s\S]/g, (each) => `%${hex(each)}`);
const plus = (text: string): string => encoded(text).replaceAll("%20", "+");
const hex = (each: string): string => each.charCodeAt(0).toString(16).padStart(2, "0");

const get = (target: string, method = "GET", headers: readonly string[] = []): string =>
  `${method} ${target} HTTP/1.1\r\n${["Host: x", "Connection: close", ...headers].join("\r\n")}\r\n\r\n`;

function post(target: string, contentType: string, body: string, method = "POST"): string {
  const bytes = latin1Bytes(body);
  return `${get(target, method, [`Content-Type: ${contentType}`, `Content-Length: ${bytes.length}`])}${bytes}`;
}

function chunked(contentType: string, body: string): string {
  const bytes = latin1Bytes(body);
  const half = bytes.length >> 1;
  const chunks = [bytes.slice(0, half), bytes.slice(half)].map((each) => `${each.length.toString(16)}\r\n${each}\r\n`);
  return `${get("/query", "POST", [`Content-Type: ${contentType}`, "Transfer-Encoding: chunked"])}${chunks.join("")}0\r\n\r\n`;
}

const formType = "application/x-www-form-urlencoded";
const part = (disposition: string, value: string): string =>
  `--b\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${value}\r\n--b--\r\n`;
const multipartType = "multipart/form-data; boundary=b";

/** Ways that clients choose. */
const usualWays: readonly ((q: string) => string)[] = [
  (q) => get(`/query?q=${encoded(q)}`),
  (q) => get(`/query?q=${plus(q)}&db=&epoch=ns`, "POST"),
  (q) => get(`/query?pretty=true&chunked=true&q=${allEscaped(q)}`, "POST"),
  (q) => post("/query", formType, `q=${plus(q)}`),
  (q) => post("/query?db=x&chunked=true", formType, `db=&q=${allEscaped(q)}&epoch=ns`),
  (q) => post("/query", `${formType}; charset=utf-8`, `q=${encoded(q)}`),
  (q) => chunked(formType, `q=${encoded(q)}`),
  (q) => post("/query", multipartType, part('name="q"', q)),
  (q) => post("/query", multipartType, part('name="q"; filename="q.txt"\r\nContent-Type: text/plain', q)),
];

/** Ways that are odd, ambiguous or wrong: where one program might read something else than the other. */
const oddWays: readonly ((q: string) => string)[] = [
  (q) => get(`/query?%71=${encoded(q)}`),
  (q) => get(`//query?q=${encoded(q)}`),
  (q) => get(`/query/?q=${encoded(q)}`),
  (q) => get(`/%71uery?q=${encoded(q)}`, "POST"),
  (q) => get(`/./query?q=${encoded(q)}`),
  (q) => get(`http://other/query?q=${encoded(q)}`),
  (q) => get(`/query?q=${encoded(q)}#q=SHOW+USERS`),
  (q) => get(`/query?q=SHOW+USERS&q=${encoded(q)}`),
  (q) => get(`/query?q=${encoded(q)}&q=SHOW+USERS`),
  (q) => get(`/query?q=&q=${encoded(q)}`),
  (q) => get(`/query?db=x;q=${encoded(q)}`),
  (q) => get(`/query?q=${encoded(q)};db=x`),
  (q) => get(`/query?q=${encoded(q)}&db=%zz`),
  (q) => get(`/query?q=${encoded(q)}&async=true`, "POST"),
  (q) => get(`/query?q=${encoded(q)}`, "HEAD"),
  (q) => get(`/query?q=${encoded(q)}`, "OPTIONS"),
  (q) => get(`/query?q=${encoded(q)}`, "PUT"),
  (q) => get(`/query?q=${encoded(q)}`, "DELETE"),
  (q) => get(`/query?q=${encoded(q)}`, "POST", ["X-HTTP-Method-Override: GET", "Expect: 100-continue"]),
  (q) => get(`/query?q=${encoded(q)}`).replace("HTTP/1.1", "HTTP/1.0"),
  (q) => post(`/query?q=SHOW+USERS`, formType, `q=${encoded(q)}`),
  (q) => post(`/query?q=${encoded(q)}`, formType, "q=SHOW+USERS"),
  (q) => post(`/query?q=${encoded(q)}`, formType, "q="),
  (q) => post(`/query?q=${encoded(q)}`, "text/plain", "q=SHOW+USERS"),
  (q) => post("/query", formType.toUpperCase(), `q=${encoded(q)}`),
  (q) => post("/query", ` ${formType} ; x="y"`, `q=${encoded(q)}`),
  (q) => post("/query", `${formType}\r\nContent-Type: text/plain`, `q=${encoded(q)}`),
  (q) => post("/query", `text/plain\r\nContent-Type: ${formType}`, `q=${encoded(q)}`),
  (q) => post("/query", `${formType}, text/plain`, `q=${encoded(q)}`),
  (q) => post("/query", formType, `%zz&q=${encoded(q)}`),
  (q) => post("/query", formType, `q=${encoded(q)};x`),
  (q) => post("/query", formType, `x;q=${encoded(q)}`),
  (q) => post("/query", formType, `\r\nq=${encoded(q)}`),
  (q) => post("/query", formType, `q=${encoded(q)}`, "PUT"),
  (q) => post("/query", formType, `q=${encoded(q)}`, "PATCH"),
  (q) => post("/query", formType, `q=${encoded(q)}`, "GET"),
  (q) => post("/query", "text/plain", `q=${encoded(q)}`),
  (q) => post("/query", multipartType.toUpperCase(), part('name="q"', q)),
  (q) => post("/query", 'multipart/form-data; charset=x; boundary="b"', part("name=q", q)),
  (q) => post("/query", 'multipart/form-data; boundary=b; boundary="c"', part('name="q"', q)),
  (q) => post("/query", "multipart/mixed; boundary=b", part('name="q"', q)),
  (q) => post("/query", multipartType, `preamble\r\n${part('name="q"', q)}`),
  (q) => post("/query", multipartType, part('name="q"', q).replaceAll("\r\n", "\n")),
  (q) => post("/query", multipartType, part('name="q"', q).replace("--b--\r\n", "")),
  (q) => post("/query", multipartType, part('NAME="q"', q)),
  (q) => post("/query", multipartType, part('name="q"; name="db"', q)),
  (q) => post("/query", multipartType, part('filename="x"; name="q"', q)),
  (q) => post("/query", multipartType, part("name*=utf-8''q", q)),
  (q) => post("/query", multipartType, part('name="q"\r\nContent-Transfer-Encoding: quoted-printable', q)),
  (q) => post("/query?q=SHOW+USERS", multipartType, part('name="q"', q)),
  (q) => post("/query?q=+", multipartType, part('name="q"', q)),
  (q) => post(`/query?q=${encoded(q)}`, multipartType, part('name="q"', "SHOW USERS")),
  (q) => post(`/query?q=${encoded(q)}`, multipartType, "no part"),
  (q) => post(`/query?q=${encoded(q)}`, "multipart/form-data", "no part"),
];

/** Names that one program might take for another, with a number in them; the last few are not odd. */
const oddNames: readonly ((x: number) => string)[] = [
  (x) => `" lead ${x}"`,
  (x) => `"trail ${x} "`,
  (x) => `"esc \\" ${x}"`,
  (x) => `"line\\n${x}"`,
  (x) => `"back\\\\${x}"`,
  (x) => `"nul\0${x}"`,
  (x) => `"\u0007bell${x}"`,
  (x) => `"é${x}"`,
  (x) => `"e\u0301${x}"`,
  (x) => `"\ufeffbom${x}"`,
  (x) => `"\u202ertl${x}"`,
  (x) => `"\u{1f512}${x}"`,
  (x) => `"\ufffd${x}"`,
  (x) => `"a\u2028b${x}"`,
  (x) => `"\u00a0nbsp${x}"`,
  (x) => `".hidden${x}"`,
  (x) => `"..${x}"`,
  (x) => `"a/../b${x}"`,
  (x) => `"*${x}"`,
  (x) => `"?[a]{b}${x}"`,
  (x) => `"_series${x}"`,
  (x) => `"%2e${x}"`,
  (x) => `"-- ${x}"`,
  (x) => `"WITH ENCRYPTION OFF ${x}"`,
  (x) => `"${"n".repeat(240)}${x}"`,
  (x) => `"${"名".repeat(85)}${x}"`,
  (x) => `x${x}"quoted${x}"`,
  (x) => `"é 名 ${x}"`,
  (x) => `"'single' \\" ${x}"`,
  (x) => `"; DROP DATABASE ${x}"`,
  (x) => `Upper${x}`,
  (x) => `encryption_on${x}`,
];
const firstOrdinaryName = oddNames.length - 6;

/** The name that InfluxQL means by a token. */
export function meant(token: string): string {
  const quoted = token.slice(token.indexOf('"') + 1, -1);
  return token.includes('"') ? quoted.replace(/\\(.)/g, (_, each: string) => (each === "n" ? "\n" : each)) : token;
}

const statements: readonly ((name: string) => string)[] = [
  (name) => `CREATE DATABASE ${name} WITH ENCRYPTION ON`,
  (name) => `create database ${name} encryption on`,
  (name) => `/*x*/CREATE/**/DATABASE--y\n${name}\r\nWITH\tENCRYPTION ON;`,
  (name) => `CREATE DATABASE ${name} ENCRYPTION ON WITH NAME rp DURATION 30d REPLICATION 1 SHARD DURATION 1d`,
  (name) => `SHOW USERS; CREATE DATABASE ${name} WITH ENCRYPTION ON; SHOW MEASUREMENTS ON ${name}`,
];

/** Every way with a plain name, and every odd name in a usual way. */
export function allSpellings(): readonly Spelling[] {
  const inWays = [...usualWays, ...oddWays].map((way, at) => {
    const database = `way${at}`;
    return { raw: way(statementAt(at)(database)), database, usual: at < usualWays.length };
  });
  const named = oddNames.map((name, at) => {
    const token = name(at);
    return { raw: wayAt(at)(statementAt(at)(token)), database: meant(token), usual: at >= firstOrdinaryName };
  });
  return [...inWays, ...named];
}

const statementAt = (at: number): ((name: string) => string) =>
  statements[at % statements.length] ?? ((name) => `CREATE DATABASE ${name} WITH ENCRYPTION ON`);
const wayAt = (at: number): ((q: string) => string) =>
  usualWays[at % usualWays.length] ?? ((q) => get(`/query?q=${q}`));

/** A statement with the clause among others that make no database, in any way, perhaps with something put in or left out. */
export const anySpelling: fc.Arbitrary<string> = fc
  .record({
    left: fc.array(other(), { maxLength: 1 }),
    made: statementWithClause.filter(({ on }) => on),
    right: fc.array(other(), { maxLength: 1 }),
    way: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...usualWays) }, fc.constantFrom(...oddWays)),
    spoilAt: fc.option(fc.nat(), { freq: 2 }),
    spoilWith: fc.constantFrom("", "", "", " ", "\n", "/**/", "--", ";", "&", "%", '"', "/", "=", "x", "\xff"),
  })
  .map(({ left, made, right, way, spoilAt, spoilWith }) => {
    const q = [...left, made.text, ...right].join(";");
    if (spoilAt === null) return way(q);
    const at = spoilAt % q.length;
    return way(`${q.slice(0, at)}${spoilWith}${q.slice(at + (spoilWith === "" ? 1 : 0))}`);
  });

function other(): fc.Arbitrary<string> {
  return validStatement.filter((text) => !/^create/i.test(text));
}
