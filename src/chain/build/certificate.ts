import { hash, randomBytes } from "node:crypto";
import { encodeBase64 } from "../../crypto/base64.ts";
import { type CurveName, curves, ecPublicKeyOid } from "../../crypto/curve.ts";
import { der, derTags, derUnsigned } from "../../crypto/der.ts";

/** The subject or issuer of a certificate, in the order in which FISCO BCOS's tools write it. */
export interface DistinguishedName {
  readonly commonName: string;
  readonly organization: string;
  readonly organizationalUnit: string;
}

/**
 * What a certificate is for. `authority`: signs others. `tls`: both ends of a TLS link. `sign` and `encrypt`: the two
 * certificates of SM TLS (GB/T 38636), one for signatures and one for key exchange.
 */
export type CertificateUse = "authority" | "tls" | "sign" | "encrypt";

export interface CertificateFields {
  readonly curve: CurveName;
  /** `04 ‖ X ‖ Y` of the subject. */
  readonly publicKey: Buffer;
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  /** `04 ‖ X ‖ Y` of the issuer. */
  readonly issuerPublicKey: Buffer;
  readonly use: CertificateUse;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Host names and addresses of the subject. */
  readonly alternativeNames?: readonly AlternativeName[];
}

export type AlternativeName = { readonly dns: string } | { readonly ipBytes: Buffer };

/** How the issuer signs: the algorithm's OID, and a signature in DER over the bytes it is given. */
export interface CertificateSigner {
  readonly algorithm: Buffer;
  sign(bytes: Buffer): Buffer;
}

/** ecdsa-with-SHA256, 1.2.840.10045.4.3.2 (RFC 5758). */
export const ecdsaWithSha256: Buffer = Buffer.from("2a8648ce3d040302", "hex");
/** SM2 signature with SM3, 1.2.156.10197.1.501 (GM/T 0006). */
export const sm2WithSm3: Buffer = Buffer.from("2a811ccf55018375", "hex");

const tags = { boolean: 0x01, utf8String: 0x0c, utcTime: 0x17, generalizedTime: 0x18, set: 0x31 } as const;
const explicit3 = 0xa3;
const oids = {
  commonName: "550403",
  organization: "55040a",
  organizationalUnit: "55040b",
  subjectKeyIdentifier: "551d0e",
  keyUsage: "551d0f",
  subjectAlternativeName: "551d11",
  basicConstraints: "551d13",
  authorityKeyIdentifier: "551d23",
  extendedKeyUsage: "551d25",
  serverAuth: "2b06010505070301",
  clientAuth: "2b06010505070302",
} as const;

/** KeyUsage as a BIT STRING's content: the count of unused bits, then the bits (RFC 5280 section 4.2.1.3). */
const keyUsages: Readonly<Record<CertificateUse, string>> = {
  authority: "0106", // keyCertSign, cRLSign
  tls: "0780", // digitalSignature
  sign: "06c0", // digitalSignature, nonRepudiation
  encrypt: "0338", // keyEncipherment, dataEncipherment, keyAgreement
};

/** An X.509 v3 certificate (RFC 5280) in DER, for a key on P-256, secp256k1 or SM2. */
export function signCertificate(fields: CertificateFields, signer: CertificateSigner): Buffer {
  const algorithm = der(derTags.sequence, der(derTags.objectIdentifier, signer.algorithm));
  const toBeSigned = der(
    derTags.sequence,
    der(derTags.explicit0, derUnsigned(Buffer.of(2))), // version 3
    derUnsigned(serialNumber()),
    algorithm,
    nameOf(fields.issuer),
    der(derTags.sequence, timeOf(fields.notBefore), timeOf(fields.notAfter)),
    nameOf(fields.subject),
    subjectPublicKeyInfo(fields.curve, fields.publicKey),
    der(explicit3, der(derTags.sequence, ...extensionsOf(fields))),
  );
  const signature = der(derTags.bitString, Buffer.of(0), signer.sign(toBeSigned));
  return der(derTags.sequence, toBeSigned, algorithm, signature);
}

/** SubjectPublicKeyInfo of an EC key (RFC 5480), with the curve by name. */
export function subjectPublicKeyInfo(curve: CurveName, publicKey: Buffer): Buffer {
  const algorithm = der(
    derTags.sequence,
    der(derTags.objectIdentifier, ecPublicKeyOid),
    der(derTags.objectIdentifier, curves[curve].oid),
  );
  return der(derTags.sequence, algorithm, der(derTags.bitString, Buffer.of(0), publicKey));
}

/** PEM text (RFC 7468) of something public. */
export function pemOf(label: "CERTIFICATE" | "PUBLIC KEY", content: Buffer): string {
  const lines =
    encodeBase64(content)
      .toString("latin1")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

function extensionsOf({ publicKey, issuerPublicKey, use, alternativeNames = [] }: CertificateFields): Buffer[] {
  const isAuthority = use === "authority";
  const constraints = isAuthority ? [der(tags.boolean, Buffer.of(0xff)), derUnsigned(Buffer.of(0))] : [];
  const extensions = [
    extension(oids.basicConstraints, true, der(derTags.sequence, ...constraints)),
    extension(oids.keyUsage, true, der(derTags.bitString, Buffer.from(keyUsages[use], "hex"))),
    extension(oids.subjectKeyIdentifier, false, der(derTags.octetString, keyIdentifier(publicKey))),
    extension(oids.authorityKeyIdentifier, false, der(derTags.sequence, der(0x80, keyIdentifier(issuerPublicKey)))),
  ];
  if (use === "tls")
    extensions.push(
      extension(oids.extendedKeyUsage, false, der(derTags.sequence, oid(oids.serverAuth), oid(oids.clientAuth))),
    );
  if (alternativeNames.length > 0) {
    const names = alternativeNames.map((name) =>
      "dns" in name ? der(0x82, Buffer.from(name.dns, "latin1")) : der(0x87, name.ipBytes),
    );
    extensions.push(extension(oids.subjectAlternativeName, false, der(derTags.sequence, ...names)));
  }
  return extensions;
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [der(tags.boolean, Buffer.of(0xff))] : [];
  return der(derTags.sequence, oid(id), ...flag, der(derTags.octetString, value));
}

function nameOf({ commonName, organization, organizationalUnit }: DistinguishedName): Buffer {
  const attribute = (id: string, text: string) =>
    der(tags.set, der(derTags.sequence, oid(id), der(tags.utf8String, Buffer.from(text))));
  return der(
    derTags.sequence,
    attribute(oids.commonName, commonName),
    attribute(oids.organization, organization),
    attribute(oids.organizationalUnit, organizationalUnit),
  );
}

/** UTCTime through 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5). */
function timeOf(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]|\.\d+/g, "");
  return date.getUTCFullYear() < 2050
    ? der(tags.utcTime, Buffer.from(digits.slice(2), "latin1"))
    : der(tags.generalizedTime, Buffer.from(digits, "latin1"));
}

/** SHA-1 of the public point: a name, not a protection (RFC 5280 section 4.2.1.2, method 1). */
function keyIdentifier(publicKey: Buffer): Buffer {
  return hash("sha1", publicKey, "buffer");
}

/** 127 random bits (RFC 5280 section 4.1.2.2: positive, at most 20 bytes). */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes;
}

function oid(hex: string): Buffer {
  return der(derTags.objectIdentifier, Buffer.from(hex, "hex"));
}
