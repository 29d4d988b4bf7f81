import { DerReader, derTags } from "../../crypto/der.ts";
import { asBadEvidence, badEvidence } from "./verifier.ts";

const utcTime = 0x17;
const generalizedTime = 0x18;
const boolean = 0x01;
const explicit3 = 0xa3;
const basicConstraints = Buffer.from("551d13", "hex");
const ecdsaWithSha256 = Buffer.from("2a8648ce3d040302", "hex");
const maxListBytes = 128 * 1024;

/**
 * How many authorities may stand between this one and the end of a path (pathLenConstraint, RFC 5280 section 4.2.1.9);
 * undefined where it says nothing.
 *
 * @param der - An X.509 certificate of version 3
 * @throws EnclaveError BAD_EVIDENCE
 */
export function pathLengthOf(der: Uint8Array): number | undefined {
  return asBadEvidence("a certificate", () => {
    const body = certificateBody(der);
    while (body.peek() !== undefined && body.peek() !== explicit3) body.read(body.peek() ?? 0);
    if (body.peek() === undefined) return undefined;
    const extensions = body.enter(explicit3).enter(derTags.sequence);
    while (extensions.peek() !== undefined) {
      const extension = extensions.enter(derTags.sequence);
      if (!extension.read(derTags.objectIdentifier).equals(basicConstraints)) continue;
      if (extension.peek() === boolean) extension.read(boolean);
      const constraints = extension.enter(derTags.octetString).enter(derTags.sequence);
      if (constraints.peek() === boolean) constraints.read(boolean);
      return constraints.peek() === undefined ? undefined : constraints.readUnsigned(4).readUInt32BE();
    }
    return undefined;
  });
}

/** The serial number of a certificate: the content of its INTEGER. @throws EnclaveError BAD_EVIDENCE */
export function serialOf(der: Uint8Array): Buffer {
  return asBadEvidence("a certificate", () => certificateBody(der).read(derTags.integer));
}

/** A certificate revocation list (RFC 5280 section 5), with what its signature is over. */
export interface RevocationList {
  readonly signedBytes: Buffer;
  /** ECDSA with SHA-256, DER. */
  readonly signature: Buffer;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
  /** Contents of the INTEGERs of serial numbers. */
  readonly revoked: readonly Buffer[];
}

/** @throws EnclaveError BAD_EVIDENCE: not one list in DER, signed by ECDSA with SHA-256, that says when the next one is due */
export function readRevocationList(der: Uint8Array, name: string): RevocationList {
  if (der.length > maxListBytes) throw badEvidence(`${name} is too long`);
  return asBadEvidence(name, () => {
    const outer = readerOf(der);
    const list = outer.enter(derTags.sequence);
    outer.end();
    const bodyStart = lengthOfHead(der);
    const body = list.enter(derTags.sequence);
    const algorithm = list.enter(derTags.sequence).read(derTags.objectIdentifier);
    const bits = list.read(derTags.bitString);
    list.end();
    if (!algorithm.equals(ecdsaWithSha256) || bits[0] !== 0) throw badEvidence(`${name} is signed in another way`);
    const signedBytes = Buffer.from(der).subarray(
      bodyStart,
      bodyStart + elementLength(Buffer.from(der).subarray(bodyStart)),
    );
    if (body.peek() === derTags.integer) body.read(derTags.integer);
    if (!body.enter(derTags.sequence).read(derTags.objectIdentifier).equals(ecdsaWithSha256))
      throw badEvidence(`${name} is signed in another way than it says`);
    body.read(derTags.sequence);
    const [thisUpdateMs, nextUpdateMs] = [readTime(body, name), readTime(body, name)];
    const revoked: Buffer[] = [];
    if (body.peek() === derTags.sequence) {
      const entries = body.enter(derTags.sequence);
      while (entries.peek() !== undefined) revoked.push(entries.enter(derTags.sequence).read(derTags.integer));
    }
    if (body.peek() === derTags.explicit0) body.read(derTags.explicit0);
    body.end();
    return { signedBytes, signature: bits.subarray(1), thisUpdateMs, nextUpdateMs, revoked };
  });
}

/** What follows the version in a TBSCertificate: serial number, algorithm, issuer, and so on. */
function certificateBody(der: Uint8Array): DerReader {
  const body = readerOf(der).enter(derTags.sequence).enter(derTags.sequence);
  body.read(derTags.explicit0);
  return body;
}

function readerOf(der: Uint8Array): DerReader {
  return new DerReader(der, () => badEvidence("it is not DER"));
}

/** UTCTime `YYMMDDhhmmssZ` to 2049, GeneralizedTime `YYYYMMDDhhmmssZ` after. */
function readTime(reader: DerReader, name: string): number {
  const isShort = reader.peek() === utcTime;
  const text = reader.read(isShort ? utcTime : generalizedTime).toString("latin1");
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(isShort ? `${text < "50" ? "20" : "19"}${text}` : text);
  if (parts === null) throw badEvidence(`${name} has a malformed time`);
  const [, year, month, day, hour, minute, second] = parts;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/** Bytes of an element's tag and length. */
function lengthOfHead(der: Uint8Array): number {
  const first = der[1] ?? 0;
  return first < 0x80 ? 2 : 2 + (first & 0x7f);
}

function elementLength(der: Buffer): number {
  const head = lengthOfHead(der);
  return head + (head === 2 ? (der[1] ?? 0) : der.readUIntBE(2, head - 2));
}
