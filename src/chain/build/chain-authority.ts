import { createPrivateKey, sign } from "node:crypto";
import { isIPv4 } from "node:net";
import { generateKeyPair } from "../../crypto/curve.ts";
import { writePrivateKey, writePrivateKeyDer } from "../../crypto/pem.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { sm2Sign, sm2SigningKey } from "../../crypto/sm2.ts";
import {
  type AlternativeName,
  type CertificateSigner,
  type CertificateUse,
  type DistinguishedName,
  ecdsaWithSha256,
  pemOf,
  signCertificate,
  sm2WithSm3,
} from "./certificate.ts";

const dayMs = 24 * 60 * 60 * 1000;
/** As FISCO BCOS's tools: a chain is not stopped by its certificates' age. */
const validityDays = 36_500;
/** Certificates begin a little in the past, for nodes whose clock is behind. */
const backdatedMs = 2 * 60 * 60 * 1000;

/** `p256`: ECDSA with SHA-256, which TLS libraries speak. `sm2`: SM2 with SM3, for SM TLS. */
export type AuthorityCurve = "p256" | "sm2";

/** A certificate with its key, in PEM. The caller disposes of the key. */
export interface IssuedPair {
  readonly certificatePem: string;
  readonly privateKeyPem: SecretBuffer;
  /** `04 ‖ X ‖ Y`. */
  readonly publicKey: Buffer;
}

const authorityName: DistinguishedName = {
  commonName: "FISCO-BCOS",
  organization: "FISCO-BCOS",
  organizationalUnit: "chain",
};

/** A chain's certificate authority: made once, with the chain; its key goes to one file and is then forgotten. */
export class ChainAuthority implements Disposable {
  readonly certificatePem: string;
  readonly #scalar: SecretBuffer;
  readonly #curve: AuthorityCurve;
  readonly #publicKey: Buffer;
  readonly #signer: CertificateSigner;
  readonly #nowMs: number;

  constructor(curve: AuthorityCurve, nowMs: number) {
    const { scalar, publicKey } = generateKeyPair(curve);
    this.#curve = curve;
    this.#scalar = scalar;
    this.#publicKey = publicKey;
    this.#nowMs = nowMs;
    this.#signer = curve === "sm2" ? sm2Signer(scalar) : ecdsaSigner(scalar);
    this.certificatePem = this.#certify(authorityName, publicKey, "authority", []);
  }

  /** The authority's own key in PKCS#8 PEM. The caller disposes of it. */
  exposeKeyPem(): SecretBuffer {
    return writePrivateKey(this.#curve, this.#scalar, "pkcs8");
  }

  /**
   * A certificate for a fresh key.
   *
   * @param unit - The subject's organizational unit.
   * @param hosts - Host names and IPv4 addresses under which the subject is reached.
   */
  issue(unit: string, use: Exclude<CertificateUse, "authority">, hosts: readonly string[] = []): IssuedPair {
    const { scalar, publicKey } = generateKeyPair(this.#curve);
    using _ = scalar;
    const subject = { commonName: "FISCO-BCOS", organization: "fisco-bcos", organizationalUnit: unit };
    return {
      certificatePem: this.#certify(subject, publicKey, use, hosts),
      privateKeyPem: writePrivateKey(this.#curve, scalar, "pkcs8"),
      publicKey,
    };
  }

  [Symbol.dispose](): void {
    this.#scalar[Symbol.dispose]();
  }

  #certify(subject: DistinguishedName, publicKey: Buffer, use: CertificateUse, hosts: readonly string[]): string {
    const certificate = signCertificate(
      {
        curve: this.#curve,
        publicKey,
        subject,
        issuer: authorityName,
        issuerPublicKey: this.#publicKey,
        use,
        notBefore: new Date(this.#nowMs - backdatedMs),
        notAfter: new Date(this.#nowMs + validityDays * dayMs),
        alternativeNames: hosts.map(alternativeName),
      },
      this.#signer,
    );
    return pemOf("CERTIFICATE", certificate);
  }
}

function ecdsaSigner(scalar: SecretBuffer): CertificateSigner {
  using pkcs8 = writePrivateKeyDer("p256", scalar, "pkcs8");
  const key = pkcs8.expose((bytes) => createPrivateKey({ key: bytes, format: "der", type: "pkcs8" }));
  return { algorithm: ecdsaWithSha256, sign: (bytes) => sign("sha256", bytes, key) };
}

/** With the default user id, as every reader of SM2 certificates expects (GM/T 0015). */
function sm2Signer(scalar: SecretBuffer): CertificateSigner {
  const key = sm2SigningKey(scalar);
  return { algorithm: sm2WithSm3, sign: (bytes) => sm2Sign(key, bytes, { form: "der" }) };
}

/** Hosts are names or IPv4 addresses (4 bytes in network order). */
function alternativeName(host: string): AlternativeName {
  return isIPv4(host) ? { ipBytes: Buffer.from(host.split(".").map(Number)) } : { dns: host };
}
