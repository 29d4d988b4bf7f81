import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  webcrypto,
  X509Certificate,
} from "node:crypto";
import { join } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { readSecretFile } from "../../crypto/secret-file.ts";
import { EnclaveError } from "../errors.ts";
import { keyPurposes } from "../evidence/certificates.ts";
import { readText, writeNewFile } from "./new-file.ts";

const dayMs = 24 * 3_600_000;
const rootDays = 3650;
const platformDays = 1825;
/** Certificates begin a little in the past, for hosts whose clock is behind. */
const backdatedMs = 2 * 3_600_000;
const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** Certifies the keys that platforms quote with; a channel's policy names it in `attestation_roots`. */
export interface AttestationRoot {
  /** PEM certificate. */
  readonly pem: string;
  readonly key: KeyObject;
}

/**
 * Makes a root (X.509, P-256, ten years) in a folder: `root.pem` for policies, `root-key.pem` of mode 0600 for its owner.
 *
 * @param name - Whose it is: the certificate's common name
 * @throws EnclaveError CONFLICT: there is one already; SETTINGS_INVALID: the name
 */
export async function createAttestationRoot(
  folder: string,
  name: string,
  nowMs = Date.now(),
): Promise<AttestationRoot> {
  checkCommonName(name);
  const x509 = await loadX509();
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name: [{ CN: [name] }],
      notBefore: new Date(nowMs - backdatedMs),
      notAfter: new Date(nowMs + rootDays * dayMs),
      keys: {
        privateKey: privateKey.toCryptoKey(ecdsa, false, ["sign"]),
        publicKey: publicKey.toCryptoKey(ecdsa, true, ["verify"]),
      },
      signingAlgorithm: ecdsa,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      ],
    },
    webcrypto as unknown as Crypto,
  );
  const pem = pemOf(certificate.rawData);
  await writeNewFile(join(folder, "root-key.pem"), pemOfKey(privateKey), 0o600);
  await writeNewFile(join(folder, "root.pem"), Buffer.from(pem), 0o644);
  return { pem, key: privateKey };
}

/** @throws EnclaveError SETTINGS_INVALID: there is none, others may read its key, or key and certificate don't belong together */
export async function openAttestationRoot(folder: string): Promise<AttestationRoot> {
  const pem = readText(join(folder, "root.pem"), "strongroom fpc platform root makes a root; --root names its folder");
  const key = readKeyFile(join(folder, "root-key.pem"));
  if (!new X509Certificate(pem).checkPrivateKey(key))
    throw new EnclaveError("SETTINGS_INVALID", `the root's key and certificate in ${folder} do not belong together`);
  return { pem, key };
}

/**
 * Certifies a quoting key (P-256) for one purpose and nothing else, for five years. Whoever calls it vouches for the key: that
 * it is a platform's own, and of a TPM, that it is restricted to what the TPM itself has made.
 *
 * @returns DER
 */
export async function certifyQuotingKey(
  root: AttestationRoot,
  publicKey: KeyObject,
  purpose: keyof typeof keyPurposes,
  name: string,
  nowMs = Date.now(),
): Promise<Buffer> {
  const x509 = await loadX509();
  const issuer = new x509.X509Certificate(root.pem);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject: [{ CN: [name] }],
      issuer: issuer.subjectName.toJSON(),
      notBefore: new Date(nowMs - backdatedMs),
      notAfter: new Date(Math.min(nowMs + platformDays * dayMs, issuer.notAfter.getTime())),
      publicKey: new x509.PublicKey(new Uint8Array(publicKey.export({ type: "spki", format: "der" }))),
      signingKey: root.key.toCryptoKey(ecdsa, false, ["sign"]),
      signingAlgorithm: ecdsa,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([keyPurposes[purpose]], true),
      ],
    },
    webcrypto as unknown as Crypto,
  );
  return Buffer.from(certificate.rawData);
}

/** The name of a root or platform: X.520 takes 64 characters. @throws EnclaveError SETTINGS_INVALID */
export function checkCommonName(name: string): void {
  if (name.trim() === "" || [...name].length > 64 || /\p{Cc}/u.test(name))
    throw new EnclaveError(
      "SETTINGS_INVALID",
      "the name of a root or platform (--name) has from 1 to 64 characters in one line",
      { hint: "it is shown to who reads the certificate, and compared with nothing" },
    );
}

/** A private key in PKCS#8, as text. */
export function pemOfKey(key: KeyObject): Buffer {
  return Buffer.from(key.export({ type: "pkcs8", format: "pem" }));
}

/** @throws EnclaveError SETTINGS_INVALID */
export function readKeyFile(path: string): KeyObject {
  const refusal = (message: string, more: { hint?: string; cause?: unknown }) =>
    new EnclaveError("SETTINGS_INVALID", more.hint === undefined ? message : `${message}: ${more.hint}`);
  using pem: SecretBuffer = readSecretFile(path, { what: "key", fileName: "key file", refusal });
  try {
    return pem.expose((bytes) => createPrivateKey({ key: bytes, format: "pem", type: "pkcs8" }));
  } catch {
    throw new EnclaveError("SETTINGS_INVALID", `${path} is not a private key in PKCS#8 PEM`);
  }
}

async function loadX509(): Promise<typeof import("@peculiar/x509")> {
  await import("reflect-metadata");
  return await import("@peculiar/x509");
}

function pemOf(der: ArrayBuffer): string {
  return new X509Certificate(Buffer.from(der)).toString();
}

/** Positive, 126 random bits. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x3f) | 0x40, 0);
  return bytes.toString("hex");
}
