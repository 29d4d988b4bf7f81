import { createHash, type X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";

/** What is kept of a connection's client certificate: who it may be is asked of custody at every request. */
export interface PeerCertificate {
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly spkiSha256: Buffer;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const clientAuth = "1.3.6.1.5.5.7.3.2";

/**
 * Reads the certificate that the peer proved in the handshake; undefined unless it was issued by the client issuer for
 * client authentication. OpenSSL has verified the chain (`authorized`); it is checked here again, so that nothing hangs
 * on one flag.
 */
export function readPeerCertificate(socket: TLSSocket, issuer: X509Certificate): PeerCertificate | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (
    !socket.authorized ||
    certificate === undefined ||
    certificate.ca ||
    certificate.keyUsage?.length !== 1 ||
    certificate.keyUsage[0] !== clientAuth ||
    !certificate.checkIssued(issuer) ||
    !certificate.verify(issuer.publicKey)
  )
    return undefined;
  return {
    spkiSha256: createHash("sha256")
      .update(certificate.publicKey.export({ type: "spki", format: "der" }))
      .digest(),
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

/** In force at this time. */
export function inForce(certificate: PeerCertificate, nowMs: number): boolean {
  return certificate.notBeforeMs <= nowMs && nowMs < certificate.notAfterMs;
}
