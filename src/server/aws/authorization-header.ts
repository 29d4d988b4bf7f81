import { scopeTerminator, signingAlgorithm } from "./canonical-request.ts";
import { AwsError } from "./errors.ts";

/** What an Authorization header of Signature Version 4 says. */
export interface Authorization {
  readonly accessKeyId: string;
  /** Day of the scope, `20150830`. */
  readonly day: string;
  readonly region: string;
  readonly service: string;
  readonly terminator: string;
  /** Lower case, sorted, none twice. */
  readonly signedHeaders: readonly string[];
  /** 32 bytes. */
  readonly signature: Buffer;
}

const parts = ["Credential", "SignedHeaders", "Signature"] as const;
type Part = (typeof parts)[number];

/** So much of a malformed header is repeated in the answer. */
const maxRepeatedCharacters = 1024;
const signedHeadersPattern = /^[a-z0-9-]+(?:;[a-z0-9-]+)*$/;
const signaturePattern = /^[0-9a-f]{64}$/;

export function missingToken(): AwsError {
  return new AwsError("MissingAuthenticationTokenException", "Missing Authentication Token");
}

export function wrongSignature(): AwsError {
  return new AwsError(
    "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key " +
      "and signing method. Consult the service documentation for details.",
  );
}

/**
 * Parses the value of an Authorization header, strictly: each part once, no others, sorted header names, lower-case hex.
 *
 * @throws {AwsError} `MissingAuthenticationTokenException`, `IncompleteSignatureException`, `InvalidSignatureException`.
 */
export function parseAuthorization(header: string | undefined): Authorization {
  if (header === undefined || header === "") throw missingToken();
  const [, algorithm = "", rest = ""] = /^([^ ]+)(?: +(.*))?$/s.exec(header) ?? [];
  if (algorithm !== signingAlgorithm)
    throw incomplete(`Unsupported AWS 'algorithm': '${printable(algorithm)}'. `, header);
  const given = partsOf(rest, header);
  const missing = parts.filter((part) => !given.get(part));
  if (missing.length > 0)
    throw incomplete(missing.map((part) => `Authorization header requires '${part}' parameter. `).join(""), header);
  if (rest.split(",").length !== parts.length) throw incomplete("Authorization header holds an empty part. ", header);
  const credential = (given.get("Credential") ?? "").split("/");
  const [accessKeyId = "", day = "", region = "", service = "", terminator = ""] = credential;
  if (credential.length !== 5 || accessKeyId === "")
    throw incomplete(
      `Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/${scopeTerminator}. `,
      header,
    );
  const signedHeaders = given.get("SignedHeaders") ?? "";
  const signature = given.get("Signature") ?? "";
  if (!signedHeadersPattern.test(signedHeaders) || !signaturePattern.test(signature)) throw wrongSignature();
  const names = signedHeaders.split(";");
  if (!names.every((name, index) => index === 0 || (names[index - 1] ?? "") < name)) throw wrongSignature();
  return {
    accessKeyId,
    day,
    region,
    service,
    terminator,
    signedHeaders: names,
    signature: Buffer.from(signature, "hex"),
  };
}

function partsOf(text: string, header: string): Map<Part, string> {
  const given = new Map<Part, string>();
  for (const each of text.split(",")) {
    const [, name = "", value = ""] = /^ *([A-Za-z]+)=([^ ]*) *$/.exec(each) ?? [];
    const part = parts.find((known) => known === name);
    if (part === undefined) {
      if (each.trim() === "") continue;
      throw incomplete("Authorization header holds a part that is not known. ", header);
    }
    if (given.has(part)) throw incomplete(`Authorization header gives '${part}' twice. `, header);
    given.set(part, value);
  }
  return given;
}

function incomplete(reason: string, header: string): AwsError {
  const repeated = printable(header.slice(0, maxRepeatedCharacters));
  return new AwsError("IncompleteSignatureException", `${reason}Authorization=${repeated}`);
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
