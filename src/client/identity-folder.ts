import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { readSecretFile, type SecretReading } from "../crypto/secret-file.ts";
import { KeyManagerClient } from "./client.ts";

/** What `strongroom node enroll --into` writes into an identity folder. */
const files = { privateKey: "key.pem", certificate: "certificate.pem", ca: "ca.pem" } as const;
const maxPemBytes = 64 * 1024;
const enrollFirst = "make an identity with: strongroom node enroll --into DIR";

/**
 * A client of the key manager, as who the identity in a folder is of.
 *
 * @param servers - `https://HOST:PORT`, in order of preference.
 * @param refusal - Makes the caller's own error.
 * @throws What `refusal` makes when the folder holds no identity, or others may read its key. {TypeError} for a URL of another shape.
 */
export function connectAs(
  folder: string,
  servers: readonly string[],
  refusal: SecretReading["refusal"],
): KeyManagerClient {
  using privateKeyPem = readSecretFile(join(folder, files.privateKey), {
    what: "client key",
    fileName: "client key",
    refusal: (message, { hint = enrollFirst, cause }) => refusal(message, { hint, cause }),
  });
  const readPem = (name: string): string => {
    const file = join(folder, name);
    const found = statSync(file, { throwIfNoEntry: false });
    if (found?.isFile() !== true || found.size > maxPemBytes)
      throw refusal(`${file} is not a certificate of an identity folder`, { hint: enrollFirst });
    return readFileSync(file, "utf8");
  };
  const identity = { certificatePem: readPem(files.certificate), privateKeyPem };
  return KeyManagerClient.overTls({ servers, caPem: readPem(files.ca), identity });
}
