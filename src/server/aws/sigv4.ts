import { hash, timingSafeEqual } from "node:crypto";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { UserOperations } from "../../custody/contract/users.ts";
import type { PrincipalDescription } from "../../custody/service.ts";
import { type Authorization, missingToken, parseAuthorization, wrongSignature } from "./authorization-header.ts";
import { canonicalRequestOf, scopeTerminator, signatureOf, stringToSign } from "./canonical-request.ts";
import { AwsError } from "./errors.ts";
import { SigningKeys } from "./signing-keys.ts";

/** Looks up who signs with an access key. */
export type AccessKeys = Pick<UserOperations, "ofAccessKey" | "endedAccessKey">;

/** A request's line and headers, as Node gives them. */
export interface RequestHead {
  readonly method: string;
  /** The door answers at `/` alone, so there is no query to sign. */
  readonly url: string;
  /** Names and values in turn, as sent. */
  readonly rawHeaders: readonly string[];
}

/** A head that may be signed well: everything but the signature itself and the body was checked. */
export interface ClaimedSignature {
  readonly head: RequestHead;
  /** By lower-case name; none was sent twice. */
  readonly headers: ReadonlyMap<string, string>;
  readonly authorization: Authorization;
  /** `20150830T123600Z`. */
  readonly date: string;
}

export interface Signer {
  readonly principal: PrincipalDescription;
  readonly accessKeyId: string;
}

const service = "kms";
const minutesMs = 60_000;
const pastMinutes = 15;
const futureMinutes = 5;
/** Always signed; so are, when they are sent, `content-type` and every header whose name begins `x-amz-`. */
const neverMissing = ["host", "x-amz-date", "x-amz-target"] as const;

/**
 * A good signature with an access key that is disabled, or whose user is. Answered as an access key that nobody has; only
 * the audit record tells them apart.
 */
export class EndedAccessKeyError extends AwsError {
  readonly accessKeyId: string;

  constructor(accessKeyId: string) {
    super(...unknownAccessKeyWords);
    this.accessKeyId = accessKeyId;
  }
}

const unknownAccessKeyWords = [
  "UnrecognizedClientException",
  "The security token included in the request is invalid.",
] as const;

/**
 * Verifies AWS Signature Version 4 in the Authorization header, for one region and the service `kms`.
 *
 * An access key that nobody has, or that is not enabled, costs the same work as a signature that is wrong. What was derived
 * from the secret of an ended key is kept like any other's, since deriving it anew each time would tell it from an unknown one.
 */
export class SignatureVerifier implements Disposable {
  readonly #accessKeys: AccessKeys;
  readonly #region: string;
  readonly #clock: () => number;
  readonly #keys: SigningKeys;
  readonly #nobodysKeys: SigningKeys;
  readonly #nobodysSecret = SecretBuffer.random(40);

  /** @param options.clock - Unix milliseconds. */
  constructor(accessKeys: AccessKeys, options: { readonly region: string; readonly clock: () => number }) {
    this.#accessKeys = accessKeys;
    this.#region = options.region;
    this.#clock = options.clock;
    this.#keys = new SigningKeys(options.region, service);
    this.#nobodysKeys = new SigningKeys(options.region, service);
  }

  /**
   * Checks what needs neither the body nor the key: form, scope, time, and that the signature covers what it must.
   *
   * @throws {AwsError}
   */
  examine(head: RequestHead): ClaimedSignature {
    const headers = headersOf(head.rawHeaders);
    if (/[?&]x-amz-(?:algorithm|credential|signature)=/i.test(head.url)) {
      if (!headers.has("authorization")) throw missingToken();
      throw invalid("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.");
    }
    const authorization = parseAuthorization(headers.get("authorization"));
    const date = headers.get("x-amz-date");
    const atMs = date === undefined ? undefined : timeOf(date);
    if (date === undefined || atMs === undefined)
      throw new AwsError(
        "IncompleteSignatureException",
        "Authorization header requires existence of a 'X-Amz-Date' header in the form 20150830T123600Z. ",
      );
    this.#checkScope(authorization, date);
    this.#checkTime(date, atMs);
    checkCoverage(authorization, headers);
    if (headers.has("x-amz-security-token")) throw unknownAccessKey();
    const announced = headers.get("x-amz-content-sha256");
    if (announced !== undefined && !/^[0-9a-f]{64}$/.test(announced)) throw wrongSignature();
    return { head, headers, authorization, date };
  }

  /**
   * The signer of the request, by the state of this moment.
   *
   * @throws {EndedAccessKeyError} The signature fits a key that is not in force any more: for the audit record.
   * @throws {AwsError} `UnrecognizedClientException`, `InvalidSignatureException`.
   */
  verify(claim: ClaimedSignature, body: Uint8Array): Signer {
    const { authorization, head, headers, date } = claim;
    const { accessKeyId, day, signedHeaders } = authorization;
    const bodySha256 = hash("sha256", body);
    const announced = headers.get("x-amz-content-sha256");
    const canonical = canonicalRequestOf({
      method: head.method,
      path: head.url,
      query: "",
      headers,
      signedHeaders,
      bodySha256,
    });
    const scope = `${day}/${this.#region}/${service}/${scopeTerminator}`;
    const text = stringToSign(date, scope, canonical);
    const known = this.#accessKeys.ofAccessKey(accessKeyId);
    const holder = known ?? this.#accessKeys.endedAccessKey(accessKeyId);
    if (holder === undefined) this.#keys.forget(accessKeyId);
    const key =
      holder === undefined
        ? this.#nobodysKeys.of("", this.#nobodysSecret, 0, day)
        : this.#keys.of(accessKeyId, holder.secret, holder.version, day);
    const expected = key.expose((bytes) => signatureOf(bytes, text));
    const matches = timingSafeEqual(expected, authorization.signature);
    expected.fill(0);
    const fits = matches && (announced === undefined || announced === bodySha256);
    if (known === undefined)
      throw fits && holder !== undefined ? new EndedAccessKeyError(accessKeyId) : unknownAccessKey();
    if (!fits) throw wrongSignature();
    return { principal: known.principal, accessKeyId };
  }

  [Symbol.dispose](): void {
    this.#keys[Symbol.dispose]();
    this.#nobodysKeys[Symbol.dispose]();
    this.#nobodysSecret[Symbol.dispose]();
  }

  #checkScope({ day, region, service: named, terminator }: Authorization, date: string): void {
    let reason = "";
    if (region !== this.#region) reason += "Credential should be scoped to a valid region. ";
    if (named !== service) reason += `Credential should be scoped to correct service: '${service}'. `;
    if (terminator !== scopeTerminator)
      reason += `Credential should be scoped with a valid terminator: '${scopeTerminator}'. `;
    if (day !== date.slice(0, 8))
      reason += "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP. ";
    if (reason !== "") throw invalid(reason);
  }

  #checkTime(date: string, atMs: number): void {
    const nowMs = this.#clock();
    const earliestMs = nowMs - pastMinutes * minutesMs;
    const latestMs = nowMs + futureMinutes * minutesMs;
    if (atMs >= earliestMs && atMs <= latestMs) return;
    const now = basicIso(nowMs);
    throw invalid(
      atMs < earliestMs
        ? `Signature expired: ${date} is now earlier than ${basicIso(earliestMs)} (${now} - ${pastMinutes} min.)`
        : `Signature not yet current: ${date} is still later than ${basicIso(latestMs)} (${now} + ${futureMinutes} min.)`,
    );
  }
}

function unknownAccessKey(): AwsError {
  return new AwsError(...unknownAccessKeyWords);
}

function invalid(message: string): AwsError {
  return new AwsError("InvalidSignatureException", message);
}

/** What is read once must have been sent once: which of two values a signature covers must not depend on the reader. */
function headersOf(rawHeaders: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? "").toLowerCase();
    if (headers.has(name)) throw invalid(`The header '${name}' is given more than once.`);
    headers.set(name, rawHeaders[index + 1] ?? "");
  }
  return headers;
}

function checkCoverage({ signedHeaders }: Authorization, headers: ReadonlyMap<string, string>): void {
  const signed = new Set(signedHeaders);
  for (const name of neverMissing) if (!signed.has(name)) throw uncovered(name);
  for (const name of headers.keys())
    if ((name === "content-type" || name.startsWith("x-amz-")) && !signed.has(name)) throw uncovered(name);
  for (const name of signedHeaders) if (!headers.has(name)) throw wrongSignature();
}

function uncovered(name: string): AwsError {
  return invalid(`'${name}' must be a 'SignedHeader' in the AWS Authorization.`);
}

/** Unix milliseconds of `20150830T123600Z`; undefined for anything else, and for a day or time that is not. */
function timeOf(date: string): number | undefined {
  if (!/^\d{8}T\d{6}Z$/.test(date)) return undefined;
  const number = (from: number, to: number) => Number(date.slice(from, to));
  const [year, month, day] = [number(0, 4), number(4, 6), number(6, 8)];
  const [hour, minute, second] = [number(9, 11), number(11, 13), number(13, 15)];
  const at = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  const isOnCalendar = at.getUTCFullYear() === year && at.getUTCMonth() === month - 1 && at.getUTCDate() === day;
  const isOnClock = at.getUTCHours() === hour && at.getUTCMinutes() === minute && at.getUTCSeconds() === second;
  return isOnCalendar && isOnClock ? at.getTime() : undefined;
}

function basicIso(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, "")}Z`;
}
