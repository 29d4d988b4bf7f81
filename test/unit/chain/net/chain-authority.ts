import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { NetworkTls } from "../../../../src/chain/net/network.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A chain CA for tests: keys of its own, nothing on disk. */
export class TestChainAuthority {
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #certificate: x509.X509Certificate;

  private constructor(keys: webcrypto.CryptoKeyPair, certificate: x509.X509Certificate) {
    this.#keys = keys;
    this.#certificate = certificate;
  }

  static async create(): Promise<TestChainAuthority> {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned(
      {
        name: "CN=test chain",
        keys,
        signingAlgorithm: algorithm,
        extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
      },
      webcrypto as never,
    );
    return new TestChainAuthority(keys, certificate);
  }

  async issue(name: string): Promise<NetworkTls> {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.create(
      {
        subject: `CN=${name}`,
        issuer: this.#certificate.subject,
        publicKey: keys.publicKey,
        signingKey: this.#keys.privateKey,
        signingAlgorithm: algorithm,
      },
      webcrypto as never,
    );
    const key = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
    return {
      ca: Buffer.from(this.#certificate.toString("pem")),
      certificate: Buffer.from(certificate.toString("pem")),
      privateKey: Buffer.from(x509.PemConverter.encode(key, "PRIVATE KEY")),
    };
  }
}
