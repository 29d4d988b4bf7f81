import type { X509Certificate } from "node:crypto";
import {
  type CertificateParts,
  isAuthority,
  pathLength,
  readCertificateParts,
  saysAuthority,
} from "./certificate-parts.ts";

/** An organisation's authorities. */
export interface Authorities {
  readonly roots: readonly X509Certificate[];
  readonly intermediates: readonly X509Certificate[];
}

/**
 * What Fabric's peers make of a certificate. A doubt: an authority of the organisation has signed it, and whether they take it is not told here
 * (Go's x509 reads and refuses otherwise than OpenSSL).
 */
export type Standing = "member" | "stranger" | { readonly doubt: string };

const maxChain = 4;
const nameConstraints = "551d1e";
/** BasicConstraints and KeyUsage; Go knows a few more, and refuses what it does not. */
const knownCriticalExtensions = ["551d13", "551d0f"];
/** What Go's Verify demands where nobody says otherwise, and Fabric does not: TLS servers, or anything. */
const takenKeyUsages = ["1.3.6.1.5.5.7.3.1", "2.5.29.37.0"];
/** ECDSA and RSA (PKCS #1 v1.5) over SHA-256, SHA-384 and SHA-512. */
const knownSignatures = [
  "2a8648ce3d040302",
  "2a8648ce3d040303",
  "2a8648ce3d040304",
  "2a864886f70d01010b",
  "2a864886f70d01010c",
  "2a864886f70d01010d",
];

/**
 * Judges as Fabric's peers do (msp: validateIdentity, getCertificationChainForBCCSPIdentity; Go: x509.Certificate.Verify, one second after the
 * certificate begins). The key identifiers are not looked at: Go only tries authorities first whose identifier fits.
 */
export function standingOf(certificate: X509Certificate, authorities: Authorities): Standing {
  const all = [...authorities.roots, ...authorities.intermediates];
  const [signer, ...others] = all.filter((one) => isSignedBy(certificate, one));
  if (signer === undefined) return "stranger";
  try {
    if (saysAuthority(readCertificateParts(certificate.raw))) return "stranger";
    // Who is an authority's authority is not a member's as well.
    if (authorities.intermediates.some((one) => one !== signer && isSignedBy(one, signer))) return "stranger";
    if (others.length > 0) return { doubt: "several authorities have signed it" };
    const path = pathFrom(certificate, signer, authorities);
    const doubt = path === undefined ? "no one path leads to a root" : doubtOf(path);
    return doubt === undefined ? "member" : { doubt };
  } catch {
    return { doubt: "it is not in a form that is read here" };
  }
}

interface Step {
  readonly certificate: X509Certificate;
  readonly parts: CertificateParts;
}

/** From the certificate to a root; undefined where there are several ways, or none. */
function pathFrom(
  certificate: X509Certificate,
  signer: X509Certificate,
  { roots, intermediates }: Authorities,
): readonly Step[] | undefined {
  const path = [certificate, signer];
  for (let last = signer; !roots.includes(last); path.push(last)) {
    const [next, ...others] = [...roots, ...intermediates].filter((one) => one !== last && isSignedBy(last, one));
    if (next === undefined || others.length > 0 || path.length > maxChain) return undefined;
    last = next;
  }
  return path.map((one) => ({ certificate: one, parts: readCertificateParts(one.raw) }));
}

function doubtOf(path: readonly Step[]): string | undefined {
  const atMs = (path[0]?.certificate.validFromDate.getTime() ?? 0) + 1000;
  for (const [index, { certificate, parts }] of path.entries()) {
    const { validFromDate, validToDate, keyUsage } = certificate;
    if (atMs < validFromDate.getTime() || validToDate.getTime() < atMs)
      return "it begins when a certificate on its path is not valid";
    if (keyUsage !== undefined && !keyUsage.some((one) => takenKeyUsages.includes(one)))
      return "its key is for other uses";
    for (const [name, { isCritical }] of parts.extensions)
      if (name === nameConstraints || (isCritical && !knownCriticalExtensions.includes(name)))
        return "it has an extension that is not looked at here";
    const issuer = path[index + 1]?.parts;
    if (issuer === undefined) return undefined;
    if (!knownSignatures.includes(parts.signatureAlgorithm.toString("hex"))) return "it is signed in another way";
    if (!parts.issuer.equals(issuer.subject)) return "its issuer has another name";
    if (!isAuthority(issuer)) return "its issuer does not say that it may sign certificates";
    if ((pathLength(issuer) ?? index) < index) return "its issuer is too far away";
  }
  return undefined;
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    return false;
  }
}
