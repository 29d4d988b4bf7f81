import { X509Certificate } from "node:crypto";
import { asBadEvidence, badEvidence, timeText } from "./verifier.ts";
import { pathLengthOf } from "./x509-der.ts";

/** Extended key usages (RFC 5280 section 4.2.1.12) that keep certificates of one type of platform from standing in for another's. */
export const keyPurposes = {
  /** tcg-kp-AIKCertificate: a restricted signing key inside a TPM. */
  tpm: "2.23.133.8.3",
  /** Of our own (ITU-T X.667): a simulated quoting key. */
  simulated: "2.25.122363175211257344139043000793427064788",
} as const;

const maxCertificateBytes = 8192;

/** @throws EnclaveError BAD_EVIDENCE: not exactly one certificate in DER */
export function readCertificate(der: Uint8Array, name: string): X509Certificate {
  return asBadEvidence(name, () => {
    if (der.length === 0 || der.length > maxCertificateBytes) throw badEvidence(`${name} has a wrong length`);
    const certificate = new X509Certificate(der);
    if (!certificate.raw.equals(der)) throw badEvidence(`${name} is not one certificate`);
    return certificate;
  });
}

/** The certificates of a PEM chain, which holds nothing else. @throws EnclaveError BAD_EVIDENCE */
export function readPemChain(pem: string, name: string): readonly X509Certificate[] {
  const blocks = pem.split(/(?<=-----END CERTIFICATE-----)\n?/).filter((block) => block !== "");
  if (blocks.length === 0 || blocks.length > 5) throw badEvidence(`${name} holds ${blocks.length} certificates`);
  return blocks.map((block) => {
    const base64 = /^-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)\n-----END CERTIFICATE-----$/.exec(block)?.[1];
    if (base64 === undefined) throw badEvidence(`${name} is not a chain of certificates in PEM`);
    return readCertificate(Buffer.from(base64, "base64"), name);
  });
}

/**
 * Verifies a path of certificates, leaf first, root last: each signed by the next and named by it, all but the first
 * certificates of authorities with room below them, the first none, all of them valid at the time.
 *
 * @throws EnclaveError BAD_EVIDENCE
 */
export function verifyPath(path: readonly X509Certificate[], atMs: number, name: string): void {
  path.forEach((certificate, index) => {
    const issuer = path[index + 1] ?? certificate;
    if (certificate.ca !== index > 0)
      throw badEvidence(`${name}: certificate ${index} is ${certificate.ca ? "an" : "no"} authority's`);
    if (index > 0 && (pathLengthOf(certificate.raw) ?? index) < index - 1)
      throw badEvidence(`${name}: the path is longer than certificate ${index} allows`);
    if (atMs < certificate.validFromDate.getTime() || atMs > certificate.validToDate.getTime())
      throw badEvidence(`${name}: certificate ${index} is not valid at ${timeText(atMs)}`);
    if (!certificate.checkIssued(issuer) || !isSignedBy(certificate, issuer))
      throw badEvidence(`${name}: certificate ${index} is not signed by the next`);
  });
}

/**
 * The public key of a certificate that one of the policy's roots signed itself, for one purpose.
 *
 * @param roots - PEM certificates of authorities
 * @throws EnclaveError BAD_EVIDENCE
 */
export function verifyPlatformCertificate(
  certificate: X509Certificate,
  roots: readonly Uint8Array[],
  purpose: keyof typeof keyPurposes,
  atMs: number,
): X509Certificate["publicKey"] {
  const name = `the certificate of the ${purpose} platform`;
  if (roots.length === 0) throw badEvidence(`the policy names no root for attestations of type ${purpose}`);
  const root = roots
    .flatMap((pem) => readPemChain(Buffer.from(pem).toString("utf8"), `a root of type ${purpose}`))
    .find((one) => certificate.checkIssued(one) && isSignedBy(certificate, one));
  if (root === undefined) throw badEvidence(`${name} is of no root that the policy names`);
  verifyPath([certificate, root], atMs, name);
  const purposes = certificate.keyUsage;
  if (purposes?.length !== 1 || purposes[0] !== keyPurposes[purpose]) throw badEvidence(`${name} is for another use`);
  return certificate.publicKey;
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    return false;
  }
}
