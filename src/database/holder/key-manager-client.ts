import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { KeyManagerClient } from "../../client/client.ts";
import { readSecretFile } from "../../crypto/secret-file.ts";
import { DatabaseError } from "../errors.ts";

/** What `strongroom node enroll --into` writes into an identity folder. */
const identityFiles = { privateKey: "key.pem", certificate: "certificate.pem", ca: "ca.pem" } as const;
const maxPemBytes = 64 * 1024;

/**
 * A client of the key manager, with the identity in a folder.
 *
 * @throws {DatabaseError} `SETTINGS_INVALID` when the folder holds no identity, or others may read its key.
 */
export function connectKeyManager(servers: readonly string[], identityFolder: string): KeyManagerClient {
  using privateKeyPem = readSecretFile(join(identityFolder, identityFiles.privateKey), {
    what: "client key",
    fileName: "client key",
    refusal: (message, { hint, cause }) =>
      new DatabaseError("SETTINGS_INVALID", message, { hint: hint ?? enrollFirst, cause }),
  });
  return KeyManagerClient.overTls({
    servers,
    caPem: readPem(join(identityFolder, identityFiles.ca)),
    identity: { certificatePem: readPem(join(identityFolder, identityFiles.certificate)), privateKeyPem },
  });
}

const enrollFirst = "make an identity with: strongroom node enroll --into DIR";

function readPem(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isFile() !== true || found.size > maxPemBytes)
    throw new DatabaseError("SETTINGS_INVALID", `${file} is not a certificate of an identity folder`, {
      hint: enrollFirst,
    });
  return readFileSync(file, "utf8");
}
