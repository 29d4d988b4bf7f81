import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { readSecretFile } from "../../crypto/secret-file.ts";
import { EnclaveError } from "../errors.ts";
import { readDecryptionKey, readSigningKey } from "../protocol/key-formats.ts";
import type { OrganisationKeys } from "./recovery.ts";

/**
 * @param policyFile - PEM of an EC key on P-256 (`EC PRIVATE KEY`), mode 0600 or 0400.
 * @param recoveryFile - PEM of an RSA key of 3072 bits (`RSA PRIVATE KEY`), likewise.
 * @throws EnclaveError SETTINGS_INVALID: a file is not there, or others may read it; MALFORMED: it is no such key
 */
export function readOrganisationKeys(policyFile: string, recoveryFile: string): OrganisationKeys {
  using policyPem = readKey(policyFile);
  using recoveryPem = readKey(recoveryFile);
  return { policyKey: readSigningKey(policyPem), recoveryKey: readDecryptionKey(recoveryPem) };
}

function readKey(path: string): SecretBuffer {
  return readSecretFile(path, {
    what: "key",
    fileName: "key file",
    refusal: (message, { hint }) => new EnclaveError("SETTINGS_INVALID", message, { hint }),
  });
}
