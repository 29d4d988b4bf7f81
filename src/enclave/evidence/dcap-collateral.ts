import { verify, type X509Certificate } from "node:crypto";
import { readPemChain, verifyPath } from "./certificates.ts";
import { badEvidence, timeText } from "./verifier.ts";
import { type RevocationList, readRevocationList, serialOf } from "./x509-der.ts";

/** The paths and lists that a quote of Intel's is judged by. */
export interface DcapPki {
  /** Of the quote, leaf first, root last. */
  readonly pckChain: string;
  /** Of the authority that issued the leaf. */
  readonly pckCrlIssuerChain: string;
  readonly tcbInfoIssuerChain: string;
  readonly qeIdentityIssuerChain: string;
  /** DER. */
  readonly rootCrl: Uint8Array;
  readonly pckCrl: Uint8Array;
}

const tcbSigner = "Intel SGX TCB Signing";

/**
 * Verifies every certificate and revocation list that a quote hangs by, up to the root given. The quote library checks the
 * paths' signatures and dates, but neither who signed a revocation list nor whether an issuer is an authority.
 *
 * @param root - DER
 * @throws EnclaveError BAD_EVIDENCE
 */
export function verifyDcapPki(pki: DcapPki, root: Uint8Array, atMs: number): void {
  const pck = readPath(pki.pckChain, root, atMs, "the PCK certificates");
  const pckCrlIssuer = readPathOfAuthority(pki.pckCrlIssuerChain, root, "the issuer of the PCK revocation list");
  const signers = [
    readPath(pki.tcbInfoIssuerChain, root, atMs, "the certificates of the TCB info"),
    readPath(pki.qeIdentityIssuerChain, root, atMs, "the certificates of the QE identity"),
  ];
  for (const [signer] of signers)
    if (!signer?.subject.split("\n").includes(`CN=${tcbSigner}`))
      throw badEvidence(`the collateral is not signed by ${tcbSigner}`);
  const [leaf, ca, rootCertificate] = pck;
  if (leaf === undefined || ca === undefined || rootCertificate === undefined || pck.length !== 3)
    throw badEvidence("the PCK certificates are not a leaf, an authority and the root");
  if (!pckCrlIssuer.raw.equals(ca.raw)) throw badEvidence("the PCK revocation list is of another authority");
  const rootCrl = readList(pki.rootCrl, rootCertificate, atMs, "the root's revocation list");
  const pckCrl = readList(pki.pckCrl, ca, atMs, "the PCK revocation list");
  checkNotRevoked(leaf, pckCrl);
  for (const certificate of [ca, ...signers.flatMap((path) => path.slice(0, 1))]) checkNotRevoked(certificate, rootCrl);
}

function readPath(pem: string, root: Uint8Array, atMs: number, name: string): readonly X509Certificate[] {
  const path = readPemChain(pem, name);
  if (path.length < 2 || !path.at(-1)?.raw.equals(root)) throw badEvidence(`${name} do not lead to the root`);
  verifyPath(path, atMs, name);
  return path;
}

/** The first of a chain that ends at the root; what it is worth shows when it is compared with one that was verified. */
function readPathOfAuthority(pem: string, root: Uint8Array, name: string): X509Certificate {
  const path = readPemChain(pem, name);
  const [issuer] = path;
  if (issuer === undefined || path.length !== 2 || !path[1]?.raw.equals(root))
    throw badEvidence(`${name} is not an authority and the root`);
  return issuer;
}

function readList(der: Uint8Array, issuer: X509Certificate, atMs: number, name: string): RevocationList {
  const list = readRevocationList(der, name);
  if (!verify("sha256", list.signedBytes, issuer.publicKey, list.signature))
    throw badEvidence(`the signature of ${name} does not verify`);
  if (atMs < list.thisUpdateMs || atMs > list.nextUpdateMs)
    throw badEvidence(`${name} is not valid at ${timeText(atMs)}`);
  return list;
}

function checkNotRevoked(certificate: X509Certificate, list: RevocationList): void {
  const serial = serialOf(certificate.raw);
  if (list.revoked.some((one) => one.equals(serial)))
    throw badEvidence(`certificate ${certificate.serialNumber} has been revoked`);
}
