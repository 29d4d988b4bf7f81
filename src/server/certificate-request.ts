import { createHash, createPublicKey, verify } from "node:crypto";
import { DerReader, derTags } from "../crypto/der.ts";

/** What a certification request proves: its sender holds the private key of `spki` and asks for `name`. */
export interface CertificateRequest {
  /** The common name, the only part of the subject. */
  readonly name: string;
  /** SubjectPublicKeyInfo in DER, as OpenSSL writes it. */
  readonly spki: Buffer;
  readonly spkiSha256: Buffer;
}

const maxRequestBytes = 2048;
const utf8String = 0x0c;
const printableString = 0x13;
const set = 0x31;
const commonName = Buffer.from("550403", "hex"); // 2.5.4.3
const ecdsaWithSha256 = Buffer.from("2a8648ce3d040302", "hex"); // 1.2.840.10045.4.3.2
const ed25519 = Buffer.from("2b6570", "hex"); // 1.3.101.112

/**
 * Reads a certification request (PKCS#10, RFC 2986) strictly: DER with nothing after it, version 0, subject `CN=<name>`,
 * a P-256 or Ed25519 key, no attributes, and a signature by that very key (proof of possession).
 *
 * @returns Undefined for anything else.
 */
export function readCertificateRequest(bytes: Buffer): CertificateRequest | undefined {
  if (bytes.length > maxRequestBytes) return undefined;
  try {
    return read(bytes);
  } catch {
    return undefined;
  }
}

function read(bytes: Buffer): CertificateRequest | undefined {
  const refuse = () => new Error("not a certification request");
  const outer = new DerReader(bytes, refuse);
  const request = outer.enter(derTags.sequence);
  outer.end();

  const info = request.read(derTags.sequence);
  const algorithm = request.enter(derTags.sequence);
  const algorithmId = algorithm.read(derTags.objectIdentifier);
  algorithm.end();
  const signature = request.read(derTags.bitString);
  request.end();

  const fields = new DerReader(info, refuse);
  if (!fields.read(derTags.integer).equals(Buffer.of(0))) return undefined;
  const name = readCommonName(fields.enter(derTags.sequence));
  const spkiContent = fields.read(derTags.sequence);
  fields.enter(derTags.explicit0).end();
  fields.end();

  const spki = elementOf(info, spkiContent);
  const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" });
  // OpenSSL also reads compressed points and other spellings; one key must have one fingerprint.
  if (!publicKey.export({ type: "spki", format: "der" }).equals(spki)) return undefined;
  const isP256 = publicKey.asymmetricKeyType === "ec" && publicKey.asymmetricKeyDetails?.namedCurve === "prime256v1";
  const isEd25519 = publicKey.asymmetricKeyType === "ed25519";
  if (!(isP256 && algorithmId.equals(ecdsaWithSha256)) && !(isEd25519 && algorithmId.equals(ed25519))) return undefined;
  if (signature[0] !== 0) return undefined;
  const signed = elementOf(bytes, info);
  if (!verify(isP256 ? "sha256" : null, signed, publicKey, signature.subarray(1))) return undefined;
  return { name, spki, spkiSha256: createHash("sha256").update(spki).digest() };
}

function readCommonName(subject: DerReader): string {
  const relative = subject.enter(set);
  subject.end();
  const attribute = relative.enter(derTags.sequence);
  relative.end();
  if (!attribute.read(derTags.objectIdentifier).equals(commonName)) throw new Error("the subject is not CN=");
  const value = attribute.read(attribute.peek() === printableString ? printableString : utf8String);
  attribute.end();
  return new TextDecoder("utf-8", { fatal: true }).decode(value);
}

/** The whole SEQUENCE, tag and length included, of which `content` is a view inside `within`. */
function elementOf(within: Buffer, content: Buffer): Buffer {
  const lengthBytes = content.length < 0x80 ? 1 : content.length < 0x100 ? 2 : 3;
  const start = content.byteOffset - within.byteOffset - 1 - lengthBytes;
  return Buffer.from(within.subarray(start, start + 1 + lengthBytes + content.length));
}
