import "reflect-metadata";
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  webcrypto,
  X509Certificate,
} from "node:crypto";
import { isIP } from "node:net";
import * as x509 from "@peculiar/x509";
import { privateKeyPemOf } from "../client/certificate-request.ts";
import type { IssuedCertificates } from "../client/protocol.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { CustodyError } from "../custody/errors.ts";
import type { Caller, CustodyService } from "../custody/service.ts";

const dayMs = 24 * 60 * 60 * 1000;
export const issuerDays = 3650;
export const clientCertificateDays = 365;
export const serverCertificateDays = 30;
/** Certificates begin a little in the past, for nodes whose clock is behind. */
const backdatedMs = 2 * 60 * 60 * 1000;

const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

interface Issuer {
  readonly certificate: X509Certificate;
  readonly pem: string;
  readonly signingKey: webcrypto.CryptoKey;
}

/** A server's certificate chain and key, for TLS. */
export interface ServerCertificate {
  /** The server's certificate, then its issuer's: an enrolling node finds there what its token pins. */
  readonly chainPem: string;
  /** PKCS#8 PEM. The caller disposes of it. */
  readonly privateKeyPem: SecretBuffer;
  readonly notAfterMs: number;
}

/**
 * The key manager's own small certificate authority (RFC 5280 profiles, P-256): one self-signed issuer for servers and
 * another for clients, so that neither kind of certificate can stand in for the other. Issuer keys are kept as custody's
 * service secrets; certificates as their public companions.
 */
export class Authority {
  readonly #servers: Issuer;
  readonly #clients: Issuer;
  readonly #clock: () => number;

  private constructor(servers: Issuer, clients: Issuer, clock: () => number) {
    this.#servers = servers;
    this.#clients = clients;
    this.#clock = clock;
  }

  /**
   * Opens the authority of a key manager; the first time, makes it.
   *
   * @throws {CustodyError} `STATE_TAMPERED` when a stored certificate is not that of the stored key.
   */
  static async open(custody: CustodyService, clock: () => number = Date.now): Promise<Authority> {
    const { account } = custody.identity;
    const servers = await openIssuer(custody, "authority/servers", `Strongroom ${account} servers`, clock());
    const clients = await openIssuer(custody, "authority/clients", `Strongroom ${account} clients`, clock());
    return new Authority(servers, clients, clock);
  }

  /** SHA-256 of the server issuer's SubjectPublicKeyInfo: what an enrolment token pins. */
  get fingerprint(): Buffer {
    return createHash("sha256")
      .update(this.#servers.certificate.publicKey.export({ type: "spki", format: "der" }))
      .digest();
  }

  get serverIssuerPem(): string {
    return this.#servers.pem;
  }

  get clientIssuerPem(): string {
    return this.#clients.pem;
  }

  get clientIssuer(): X509Certificate {
    return this.#clients.certificate;
  }

  /** When a client certificate that is issued now ends, ISO 8601. X.509 counts whole seconds. */
  clientValidity(): { readonly notAfter: string } {
    const notAfterMs = this.#clock() + clientCertificateDays * dayMs;
    return { notAfter: new Date(notAfterMs - (notAfterMs % 1000)).toISOString() };
  }

  /** A certificate for TLS client authentication: subject `CN=<name>`, for the key in `spki` (DER). */
  async issueClientCertificate(name: string, spki: Buffer, notAfter: string): Promise<IssuedCertificates> {
    const certificate = await this.#issue(
      this.#clients,
      name,
      spki,
      Date.parse(notAfter),
      x509.ExtendedKeyUsage.clientAuth,
      [],
    );
    return {
      certificate: certificate.toString("pem"),
      clientIssuer: this.#clients.pem,
      serverIssuer: this.#servers.pem,
      notAfter,
    };
  }

  /** A certificate for TLS servers under the given host names and addresses, with a fresh key that is kept nowhere. */
  async issueServerCertificate(names: readonly string[]): Promise<ServerCertificate> {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const notAfterMs = this.#clock() + serverCertificateDays * dayMs;
    const alternatives = new x509.SubjectAlternativeNameExtension(
      names.map((name) => ({ type: isIP(name) === 0 ? "dns" : "ip", value: name }) as const),
    );
    const spki = publicKey.export({ type: "spki", format: "der" });
    const usage = x509.ExtendedKeyUsage.serverAuth;
    const certificate = await this.#issue(this.#servers, "Strongroom", spki, notAfterMs, usage, [alternatives]);
    using pkcs8 = SecretBuffer.take(privateKey.export({ type: "pkcs8", format: "der" }));
    return {
      chainPem: `${certificate.toString("pem")}\n${this.#servers.pem}`,
      privateKeyPem: privateKeyPemOf(pkcs8),
      notAfterMs,
    };
  }

  async #issue(
    issuer: Issuer,
    commonName: string,
    spki: Buffer,
    notAfterMs: number,
    usage: string,
    extensions: x509.Extension[],
  ): Promise<x509.X509Certificate> {
    const publicKey = new x509.PublicKey(new Uint8Array(spki));
    return x509.X509CertificateGenerator.create(
      {
        serialNumber: serialNumber(),
        subject: nameOf(commonName),
        issuer: new x509.X509Certificate(issuer.pem).subjectName.toJSON(),
        notBefore: new Date(this.#clock() - backdatedMs),
        notAfter: new Date(notAfterMs),
        publicKey,
        signingKey: issuer.signingKey as x509.X509CertificateCreateParams["publicKey"] & webcrypto.CryptoKey,
        signingAlgorithm: ecdsa,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([usage], true),
          await x509.SubjectKeyIdentifierExtension.create(publicKey, false, webcryptoForX509),
          await x509.AuthorityKeyIdentifierExtension.create(
            new x509.X509Certificate(issuer.pem).publicKey,
            false,
            webcryptoForX509,
          ),
          ...extensions,
        ],
      },
      webcryptoForX509,
    );
  }
}

const webcryptoForX509 = webcrypto as unknown as Crypto;

async function openIssuer(custody: CustodyService, name: string, commonName: string, nowMs: number): Promise<Issuer> {
  const caller: Caller = {
    principal: custody.identity.localAdministrator,
    door: "local",
    peer: "local",
    requestId: `authority-${randomBytes(8).toString("hex")}`,
  };
  using pkcs8 = (await custody.secrets.read(name)) ?? (await makeIssuerKey(custody, caller, name));
  const privateKey = pkcs8.expose((key) => createPrivateKey({ key, format: "der", type: "pkcs8" }));
  const signingKey = privateKey.toCryptoKey(ecdsa, false, ["sign"]);
  let der = await custody.secrets.readPublic(name);
  if (der === undefined) {
    der = await selfSigned(commonName, privateKey, signingKey, nowMs);
    await custody.secrets.writePublic(caller, name, der);
  }
  const certificate = new X509Certificate(der);
  if (!certificate.checkPrivateKey(privateKey))
    throw new CustodyError("STATE_TAMPERED", `the stored certificate ${name} is not that of the stored key`);
  return { certificate, pem: certificate.toString(), signingKey };
}

async function makeIssuerKey(custody: CustodyService, caller: Caller, name: string): Promise<SecretBuffer> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pkcs8 = SecretBuffer.take(privateKey.export({ type: "pkcs8", format: "der" }));
  await custody.secrets.write(caller, name, pkcs8);
  return pkcs8;
}

async function selfSigned(
  commonName: string,
  privateKey: KeyObject,
  signingKey: webcrypto.CryptoKey,
  nowMs: number,
): Promise<Buffer> {
  const publicKey = createPublicKey(privateKey).toCryptoKey(ecdsa, true, ["verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name: nameOf(commonName),
      notBefore: new Date(nowMs - backdatedMs),
      notAfter: new Date(nowMs + issuerDays * dayMs),
      keys: { privateKey: signingKey, publicKey },
      signingAlgorithm: ecdsa,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(publicKey, false, webcryptoForX509),
      ],
    },
    webcryptoForX509,
  );
  return Buffer.from(certificate.rawData);
}

/** As JSON, not as text: a text form would have to be escaped. */
function nameOf(commonName: string): x509.JsonName {
  return [{ CN: [commonName] }];
}

/** 127 random bits (RFC 5280 section 4.1.2.2: positive, at most 20 bytes). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes.toString("hex");
}
