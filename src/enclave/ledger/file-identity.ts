import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readSecretFile } from "../../crypto/secret-file.ts";
import { EnclaveError } from "../errors.ts";
import type { LedgerIdentity } from "./ledger.ts";
import { signLowS } from "./low-s.ts";

/**
 * An identity as Fabric's tools write it down: a certificate, and its private key in a file of its own.
 *
 * @param certificate - PEM; of a chain the first is the identity's.
 * @param keyFile - PEM of a P-256 key, mode 0600 or 0400.
 * @throws EnclaveError SETTINGS_INVALID: a file cannot be read, is not of its form, or the key is not the certificate's
 */
export function identityFromFiles(mspId: string, certificate: string, keyFile: string): LedgerIdentity {
  const key = readPrivateKeyFile(keyFile);
  let isOwn: boolean;
  try {
    isOwn = new X509Certificate(certificate).checkPrivateKey(key);
  } catch (cause) {
    throw new EnclaveError("SETTINGS_INVALID", `the certificate of ${mspId}'s identity cannot be read`, { cause });
  }
  if (!isOwn) throw new EnclaveError("SETTINGS_INVALID", `${keyFile} is not the key of ${mspId}'s certificate`);
  if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw new EnclaveError("SETTINGS_INVALID", `${keyFile} is not a key on P-256`);
  return { mspId, certificate, sign: async (message) => signLowS(message, key) };
}

function readPrivateKeyFile(path: string): KeyObject {
  using pem = readSecretFile(path, {
    what: "key",
    fileName: "key file",
    refusal: (message, { hint }) => new EnclaveError("SETTINGS_INVALID", message, { hint }),
  });
  try {
    return pem.expose((bytes) => createPrivateKey({ key: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) }));
  } catch {
    // OpenSSL's words may quote the file.
    throw new EnclaveError("SETTINGS_INVALID", `${path} is not a private key in PEM`);
  }
}
