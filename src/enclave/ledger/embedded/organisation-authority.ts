import "reflect-metadata";
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  webcrypto,
} from "node:crypto";
import * as x509 from "@peculiar/x509";
import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Role } from "../membership.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 24 * 60 * 60 * 1000;
const authorityDays = 3650;
/** Certificates begin a little in the past, for clocks that are behind. */
const backdatedMs = 60 * 60 * 1000;

/** A certificate and its private key, PKCS#8 in PEM. The caller disposes of the key. */
export interface IssuedIdentity {
  readonly certificate: string;
  readonly privateKey: SecretBuffer;
}

export interface IssueInput {
  readonly commonName: string;
  /** Units of the subject; a member's role is one of them. */
  readonly units: readonly (Role | (string & {}))[];
  /** @defaultValue now, less an hour */
  readonly notBefore?: Date;
  /** @defaultValue in ten years */
  readonly notAfter?: Date;
}

/** The certificate authority of one organisation of an embedded ledger: a self-signed P-256 root whose members' roles are in the OU of their subject. */
export class OrganisationAuthority {
  readonly certificate: string;
  readonly #key: KeyObject;

  private constructor(certificate: string, key: KeyObject) {
    this.certificate = certificate;
    this.#key = key;
  }

  /** A new authority, and its key. */
  static async create(mspId: string): Promise<{ readonly authority: OrganisationAuthority } & IssuedIdentity> {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const publicKey = createPublicKey(privateKey).toCryptoKey(algorithm, true, ["verify"]);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned(
      {
        serialNumber: serialNumber(),
        name: [{ CN: [`ca.${mspId}`] }, { O: [mspId] }],
        notBefore: new Date(Date.now() - backdatedMs),
        notAfter: new Date(Date.now() + authorityDays * dayMs),
        keys: { privateKey: privateKey.toCryptoKey(algorithm, false, ["sign"]), publicKey },
        signingAlgorithm: algorithm,
        extensions: [
          new x509.BasicConstraintsExtension(true, 0, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
          await x509.SubjectKeyIdentifierExtension.create(publicKey, false, webcryptoForX509),
        ],
      },
      webcryptoForX509,
    );
    const pem = certificate.toString("pem");
    return {
      authority: new OrganisationAuthority(pem, privateKey),
      certificate: pem,
      privateKey: exportKey(privateKey),
    };
  }

  /** The authority that {@link create} made. */
  static load({ certificate, privateKey }: IssuedIdentity): OrganisationAuthority {
    return new OrganisationAuthority(
      certificate,
      privateKey.expose((pem) => createPrivateKey(pem)),
    );
  }

  /** A certificate for a new key. */
  async issue(input: IssueInput): Promise<IssuedIdentity> {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const publicKey = createPublicKey(privateKey).toCryptoKey(algorithm, true, ["verify"]);
    const issuer = new x509.X509Certificate(this.certificate);
    const certificate = await x509.X509CertificateGenerator.create(
      {
        serialNumber: serialNumber(),
        subject: [...input.units.map((unit) => ({ OU: [unit] })), { CN: [input.commonName] }],
        issuer: issuer.subjectName.toJSON(),
        notBefore: input.notBefore ?? new Date(Date.now() - backdatedMs),
        notAfter: input.notAfter ?? new Date(Date.now() + authorityDays * dayMs),
        publicKey,
        signingKey: this.#key.toCryptoKey(algorithm, false, ["sign"]),
        signingAlgorithm: algorithm,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          await x509.SubjectKeyIdentifierExtension.create(publicKey, false, webcryptoForX509),
          await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, webcryptoForX509),
        ],
      },
      webcryptoForX509,
    );
    return { certificate: certificate.toString("pem"), privateKey: exportKey(privateKey) };
  }
}

const webcryptoForX509 = webcrypto as unknown as Crypto;

function exportKey(key: KeyObject): SecretBuffer {
  return SecretBuffer.take(Buffer.from(key.export({ type: "pkcs8", format: "pem" })));
}

/** 127 random bits (RFC 5280 section 4.1.2.2: positive, at most 20 bytes). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes.toString("hex");
}
