import { decodeBase64, encodeBase64 } from "../crypto/base64.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { ClientError } from "./errors.ts";

/** What the operator of a node is given: who it will be, whom to trust, and the one-time secret. */
export interface EnrolmentToken {
  readonly name: string;
  /** SHA-256 of the SubjectPublicKeyInfo of the certificate that the key manager's servers chain to. */
  readonly caFingerprint: Buffer;
  /** 16 to 64 bytes. */
  readonly secret: SecretBuffer;
}

const prefix = Buffer.from("sr1.");
const dot = 0x2e;
const fingerprintBytes = 32;
const maxTextBytes = 256;
/** The names of principals; all fit a certificate's common name (RFC 5280: 64 characters). */
export const enrolmentNamePattern = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;

/**
 * The text of a token, as bytes: `sr1.<name>.<fingerprint>.<secret>`, the last two in base64url without padding
 * (RFC 4648 section 5). The token stays the caller's to dispose of.
 *
 * @throws {ClientError} `REQUEST_INVALID` for a name, fingerprint or secret out of range.
 */
export function encodeEnrolmentToken({ name, caFingerprint, secret }: EnrolmentToken): SecretBuffer {
  if (!enrolmentNamePattern.test(name))
    throw invalid(`a name of 1 to 64 letters, digits or ._@- can be enrolled, got ${JSON.stringify(name)}`);
  if (caFingerprint.length !== fingerprintBytes) throw invalid("the fingerprint is not 32 bytes");
  if (secret.byteLength < 16 || secret.byteLength > 64) throw invalid("the token's secret is not 16 to 64 bytes");
  const digits = secret.expose(encodeBase64Url);
  const text = Buffer.concat([prefix, Buffer.from(`${name}.`), encodeBase64Url(caFingerprint), Buffer.of(dot), digits]);
  digits.fill(0);
  return SecretBuffer.take(text);
}

/**
 * Reads the text of a token; one line end after it is allowed. The caller disposes of the secret.
 *
 * @throws {ClientError} `REQUEST_INVALID`, with no part of the text in the message.
 */
export function decodeEnrolmentToken(text: SecretBuffer): EnrolmentToken {
  return text.expose((whole) => {
    const line = whole.at(-1) === 0x0a ? whole.subarray(0, whole.at(-2) === 0x0d ? -2 : -1) : whole;
    const secretDot = line.lastIndexOf(dot);
    const fingerprintDot = secretDot > 0 ? line.lastIndexOf(dot, secretDot - 1) : -1;
    if (line.length > maxTextBytes || fingerprintDot < prefix.length || !line.subarray(0, prefix.length).equals(prefix))
      throw invalid("this is not an enrolment token: it begins sr1. and has four parts");
    const name = line.toString("latin1", prefix.length, fingerprintDot); // exposes-secret: the name is public
    if (!enrolmentNamePattern.test(name)) throw invalid("the enrolment token names no node");
    const caFingerprint = decodeBase64Url(line.subarray(fingerprintDot + 1, secretDot));
    const secret = decodeBase64Url(line.subarray(secretDot + 1));
    if (
      caFingerprint?.length !== fingerprintBytes ||
      secret === undefined ||
      secret.length < 16 ||
      secret.length > 64
    ) {
      secret?.fill(0);
      throw invalid("the enrolment token is cut or mistyped");
    }
    return { name, caFingerprint, secret: SecretBuffer.take(secret) };
  });
}

/** The caller wipes the result when the input is secret. */
export function encodeBase64Url(bytes: Uint8Array): Buffer {
  const digits = encodeBase64(bytes);
  translate(digits, [0x2b, 0x2d], [0x2f, 0x5f]);
  const padding = digits.at(-1) !== 0x3d ? 0 : digits.at(-2) !== 0x3d ? 1 : 2;
  return digits.subarray(0, digits.length - padding);
}

/** Canonical base64url without padding; undefined for anything else. The caller wipes the result when it is secret. */
export function decodeBase64Url(digits: Uint8Array): Buffer | undefined {
  if (digits.length % 4 === 1 || digits.includes(0x2b) || digits.includes(0x2f) || digits.includes(0x3d))
    return undefined;
  const padded = Buffer.alloc(Math.ceil(digits.length / 4) * 4, "=");
  padded.set(digits);
  translate(padded, [0x2d, 0x2b], [0x5f, 0x2f]);
  const bytes = decodeBase64(padded);
  padded.fill(0);
  return bytes;
}

function translate(digits: Buffer, ...pairs: readonly (readonly [number, number])[]): void {
  for (const [from, to] of pairs)
    for (let at = digits.indexOf(from); at !== -1; at = digits.indexOf(from, at)) digits[at] = to;
}

function invalid(message: string): ClientError {
  return new ClientError("REQUEST_INVALID", message);
}
