import "reflect-metadata";
import { createHash, generateKeyPairSync, type KeyObject, webcrypto, X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";

/** A certificate of the tests' own, with its key. */
export interface TestCertificate {
  readonly name: string;
  readonly key: KeyObject;
  readonly publicKey: KeyObject;
  readonly der: Buffer;
  readonly pem: string;
}

export interface CertificateOptions {
  /** None: signed by itself. */
  readonly issuer?: TestCertificate;
  /** An authority, with this many below it. */
  readonly authorities?: number;
  readonly curve?: "P-256" | "P-384";
  readonly from?: Date;
  readonly to?: Date;
  readonly extensions?: readonly x509.Extension[];
  readonly serial?: string;
  readonly usages?: readonly string[];
}

const provider = webcrypto as unknown as Crypto;
const defaults = { from: new Date("2025-01-01T00:00:00Z"), to: new Date("2045-01-01T00:00:00Z") };
let serials = 0;

export async function issueCertificate(name: string, options: CertificateOptions = {}): Promise<TestCertificate> {
  const namedCurve = options.curve ?? "P-256";
  const { privateKey: key, publicKey } = generateKeyPairSync("ec", { namedCurve });
  const signer = options.issuer?.key ?? key;
  serials += 1;
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: options.serial ?? (0x10000 + serials).toString(16),
      subject: [{ CN: [name] }],
      issuer: [{ CN: [options.issuer?.name ?? name] }],
      notBefore: options.from ?? defaults.from,
      notAfter: options.to ?? defaults.to,
      publicKey: new x509.PublicKey(new Uint8Array(publicKey.export({ type: "spki", format: "der" }))),
      signingKey: signer.toCryptoKey({ name: "ECDSA", namedCurve: curveOf(signer) }, false, ["sign"]),
      signingAlgorithm: { name: "ECDSA", hash: curveOf(signer) === "P-384" ? "SHA-384" : "SHA-256" },
      extensions: [
        new x509.BasicConstraintsExtension(options.authorities !== undefined, options.authorities, true),
        new x509.KeyUsagesExtension(
          options.authorities === undefined
            ? x509.KeyUsageFlags.digitalSignature
            : x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
          true,
        ),
        ...(options.usages === undefined ? [] : [new x509.ExtendedKeyUsageExtension([...options.usages], true)]),
        ...(options.extensions ?? []),
      ],
    },
    provider,
  );
  const der = Buffer.from(certificate.rawData);
  return { name, key, publicKey, der, pem: new X509Certificate(der).toString() };
}

/** A revocation list in DER. */
export async function issueRevocationList(
  issuer: TestCertificate,
  options: { from?: Date; to?: Date; revoked?: readonly string[]; signer?: KeyObject } = {},
): Promise<Buffer> {
  const list = await x509.X509CrlGenerator.create(
    {
      issuer: [{ CN: [issuer.name] }],
      thisUpdate: options.from ?? defaults.from,
      nextUpdate: options.to ?? defaults.to,
      signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
      signingKey: (options.signer ?? issuer.key).toCryptoKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]),
      entries: (options.revoked ?? []).map((serialNumber) => ({ serialNumber, revocationDate: defaults.from })),
    },
    provider,
  );
  return Buffer.from(list.rawData);
}

export function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

function curveOf(key: KeyObject): "P-256" | "P-384" {
  return key.asymmetricKeyDetails?.namedCurve === "secp384r1" ? "P-384" : "P-256";
}
