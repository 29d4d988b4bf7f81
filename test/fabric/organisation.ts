import { createHash, verify, webcrypto, X509Certificate } from "node:crypto";
import { msp } from "@hyperledger/fabric-protos";
import { p256 } from "@noble/curves/nist.js";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import type { LedgerIdentity } from "../../src/enclave/ledger/ledger.ts";

export type Role = "admin" | "client" | "peer";

/** An X.509 identity of an organisation, as a client's wallet or a peer has it. */
export interface TestIdentity extends LedgerIdentity {
  /** PEM (PKCS#8), as Fabric's tools write it. */
  readonly key: string;
  /** msp.SerializedIdentity. */
  readonly serialized: Uint8Array;
  /** ECDSA-SHA-256 in DER with low S over the bytes (not their digest). */
  signMessage(bytes: Uint8Array): Uint8Array;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
type KeyPair = webcrypto.CryptoKeyPair;

/** An organisation of the test channel: a certificate authority, and identities whose role is their OU (NodeOU). */
export class TestOrganisation {
  readonly mspId: string;
  readonly #authority: x509.X509Certificate;
  readonly #keys: KeyPair;

  private constructor(mspId: string, authority: x509.X509Certificate, keys: KeyPair) {
    this.mspId = mspId;
    this.#authority = authority;
    this.#keys = keys;
  }

  static async create(mspId: string): Promise<TestOrganisation> {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const authority = await x509.X509CertificateGenerator.createSelfSigned({
      name: `CN=ca.${mspId}, O=${mspId}`,
      keys,
      signingAlgorithm: algorithm,
      extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
    });
    return new TestOrganisation(mspId, authority, keys);
  }

  /** PEM of the authority. */
  get root(): string {
    return `${this.#authority.toString("pem")}\n`;
  }

  /** A certificate for TLS, of a server on this machine or of a client. In Fabric it is of an authority of its own. */
  async issueTls(name: string): Promise<TlsCertificate> {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}, O=${this.mspId}`,
      issuer: this.#authority.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.SubjectAlternativeNameExtension([
          { type: "dns", value: name },
          { type: "ip", value: "127.0.0.1" },
        ]),
      ],
    });
    return { certificate: `${certificate.toString("pem")}\n`, key: await pemOf(keys.privateKey) };
  }

  /** @param units - The certificate's organisational units, of which one is usually the role. */
  async issue(role: Role, name: string = role, units: readonly string[] = [role]): Promise<TestIdentity> {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.create({
      subject: [`CN=${name}`, ...units.map((unit) => `OU=${unit}`), `O=${this.mspId}`].join(", "),
      issuer: this.#authority.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
    });
    const pem = `${certificate.toString("pem")}\n`;
    const identity = new msp.SerializedIdentity();
    identity.setMspid(this.mspId);
    identity.setIdBytes(Buffer.from(pem));
    const { d = "" } = await webcrypto.subtle.exportKey("jwk", keys.privateKey);
    const secret = Buffer.from(d, "base64url");
    const signMessage = (message: Uint8Array) => p256.sign(message, secret, { lowS: true, format: "der" });
    return {
      mspId: this.mspId,
      certificate: pem,
      key: await pemOf(keys.privateKey),
      serialized: identity.serializeBinary(),
      sign: async (message) => signMessage(message),
      signMessage,
    };
  }
}

/** PEM each. */
export interface TlsCertificate {
  readonly certificate: string;
  readonly key: string;
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

/** Whether an identity is one of the organisations', whatever its role: its certificate is signed by the authority. */
export function isMember(organisations: readonly TestOrganisation[], serialized: Uint8Array): boolean {
  const { mspId, certificate } = readIdentity(serialized);
  const root = organisations.find((one) => one.mspId === mspId)?.root;
  return root !== undefined && certificate.verify(new X509Certificate(root).publicKey);
}

export function readIdentity(serialized: Uint8Array): {
  readonly mspId: string;
  readonly certificate: X509Certificate;
} {
  const identity = msp.SerializedIdentity.deserializeBinary(serialized);
  return { mspId: identity.getMspid(), certificate: new X509Certificate(identity.getIdBytes_asU8()) };
}

/** As peers verify: a signature with high S is refused. */
export function verifySignature(serialized: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  const key = readIdentity(serialized).certificate.publicKey;
  return verify("sha256", bytes, key, signature) && !p256.Signature.fromBytes(signature, "der").hasHighS();
}

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}
