import { createHmac, hash } from "node:crypto";

/** The parts of a request that a signature covers. */
export interface CanonicalParts {
  readonly method: string;
  /** As sent, up to the question mark. */
  readonly path: string;
  /** As sent, behind the question mark; empty without one. */
  readonly query: string;
  /** In the order sent; names in any case. */
  readonly headers: Iterable<readonly [name: string, value: string]>;
  /** Lower case, sorted. */
  readonly signedHeaders: readonly string[];
  /** SHA-256 of the body, lower-case hex. */
  readonly bodySha256: string;
}

export const signingAlgorithm = "AWS4-HMAC-SHA256";
export const scopeTerminator = "aws4_request";

/** SHA-256 of no bytes. */
export const emptySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/**
 * The canonical form of a request that is signed (AWS Signature Version 4, "Create a canonical request").
 *
 * @param options.normalizePath - Resolves `.`, `..` and empty segments, as every service but S3 does. @defaultValue `true`
 * @throws {URIError} When the query holds a malformed percent-encoding.
 */
export function canonicalRequest(parts: CanonicalParts, options: { readonly normalizePath?: boolean } = {}): string {
  const values = new Map<string, string>();
  for (const [given, value] of parts.headers) {
    const name = given.toLowerCase();
    const before = values.get(name);
    values.set(name, before === undefined ? folded(value) : `${before},${folded(value)}`);
  }
  return canonicalRequestOf({ ...parts, headers: values }, options);
}

/** {@link canonicalRequest} for headers by lower-case name, none of them sent twice. */
export function canonicalRequestOf(
  parts: Omit<CanonicalParts, "headers"> & { readonly headers: ReadonlyMap<string, string> },
  options: { readonly normalizePath?: boolean } = {},
): string {
  const path = options.normalizePath === false ? parts.path : normalized(parts.path);
  let headers = "";
  for (const name of parts.signedHeaders) headers += `${name}:${folded(parts.headers.get(name) ?? "")}\n`;
  return [
    parts.method,
    path === "/" ? path : path.split("/").map(percentEncoded).join("/"),
    canonicalQuery(parts.query),
    headers,
    parts.signedHeaders.join(";"),
    parts.bodySha256,
  ].join("\n");
}

function folded(value: string): string {
  const trimmed = value.trim();
  return trimmed.includes("  ") ? trimmed.replace(/ +/g, " ") : trimmed;
}

/** `date`: `20150830T123600Z`; `scope`: `20150830/us-east-1/kms/aws4_request`. Node gives header bytes as Latin-1. */
export function stringToSign(date: string, scope: string, canonical: string): string {
  const canonicalSha256 = hash("sha256", Buffer.from(canonical, "latin1"));
  return [signingAlgorithm, date, scope, canonicalSha256].join("\n");
}

/**
 * The key that signs the requests of one day to one service: a chain of HMAC-SHA-256 that begins with the secret.
 * The caller wipes the result; what lies between is wiped here.
 *
 * @param day - `20150830`.
 */
export function signingKey(secret: Uint8Array, day: string, region: string, service: string): Buffer {
  const first = Buffer.allocUnsafeSlow(4 + secret.byteLength);
  first.write("AWS4", "latin1");
  first.set(secret, 4);
  let key = first;
  for (const text of [day, region, service, scopeTerminator]) {
    const next = createHmac("sha256", key).update(text).digest();
    key.fill(0);
    key = next;
  }
  return key;
}

/** 32 bytes. */
export function signatureOf(key: Uint8Array, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function normalized(path: string): string {
  if (path === "/") return path;
  const kept: string[] = [];
  const segments = path.split("/");
  for (const segment of segments) {
    if (segment === "..") kept.pop();
    else if (segment !== "" && segment !== ".") kept.push(segment);
  }
  const last = segments.at(-1);
  const closing = kept.length > 0 && (last === "" || last === "." || last === "..") ? "/" : "";
  return `/${kept.join("/")}${closing}`;
}

function canonicalQuery(query: string): string {
  if (query === "") return "";
  const pairs = query.split("&").map((pair): readonly [string, string] => {
    const [, name = "", value = ""] = /^([^=]*)=?(.*)$/s.exec(pair) ?? [];
    return [percentEncoded(decodeURIComponent(name)), percentEncoded(decodeURIComponent(value))];
  });
  const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  pairs.sort(([name, value], [otherName, otherValue]) => order(name, otherName) || order(value, otherValue));
  return pairs.map(([name, value]) => `${name}=${value}`).join("&");
}

/** RFC 3986: every byte but the unreserved characters. */
function percentEncoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
