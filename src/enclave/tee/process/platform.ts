import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { encodeBase64 } from "../../../crypto/base64.ts";
import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { type AttestationRoot, certifyQuotingKey, checkCommonName, pemOfKey } from "../attestation-root.ts";
import { writeNewFile } from "../new-file.ts";

/** The files of a host's simulated platform. */
export function platformFiles(folder: string) {
  return {
    secret: join(folder, "platform-secret"),
    quotingKey: join(folder, "quoting-key.pem"),
    certificate: join(folder, "quoting-certificate.der"),
  };
}

export const platformSecretBytes = 32;

/**
 * Makes the simulated platform of a host in a folder: its secret, from which enclaves' sealing keys come, and its quoting key
 * with the root's certificate for it. Files of secrets have mode 0600: whoever may read them is the platform.
 *
 * @throws EnclaveError CONFLICT: there is one already; SETTINGS_INVALID: the name
 */
export async function createProcessPlatform(
  folder: string,
  root: AttestationRoot,
  name: string,
  nowMs = Date.now(),
): Promise<void> {
  checkCommonName(name);
  const files = platformFiles(folder);
  using secret = SecretBuffer.random(platformSecretBytes);
  const text = secret.expose((bytes) => encodeBase64(bytes));
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = pemOfKey(privateKey);
  try {
    await writeNewFile(files.secret, text, 0o600);
    await writeNewFile(files.quotingKey, key, 0o600);
  } finally {
    text.fill(0);
    key.fill(0);
  }
  const certificate = await certifyQuotingKey(root, publicKey, "simulated", name, nowMs);
  await writeNewFile(files.certificate, certificate, 0o644);
}
