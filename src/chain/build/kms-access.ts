import { closeSync, constants, openSync, readSync } from "node:fs";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { AwsKmsClient } from "../../devices/aws-kms/client.ts";
import { maxCaPemCharacters } from "../../devices/aws-kms/settings.ts";
import { ChainBuildError } from "./errors.ts";
import { awsSettings, type KmsAccess } from "./kms-settings.ts";
import { readPrivateFile, withoutLineEnd } from "./pin-file.ts";

const maxSecretFileBytes = 1024;

/**
 * Opens a client for one key of a KMS. Nothing is asked yet. The caller disposes of it.
 *
 * @throws {ChainBuildError} `FILE_UNUSABLE`; `FILE_UNSAFE` when others may read the file with the secret.
 * @throws {AwsKmsError} `KMS_SETTINGS_INVALID` for a secret or a certificate that is none.
 */
export function openKmsClient(access: KmsAccess, key: string): AwsKmsClient {
  const caPem = access.caFile === undefined ? undefined : readCaFile(access.caFile);
  using secret = readKmsSecret(access.secretFile);
  return new AwsKmsClient(awsSettings(access, key, caPem), secret);
}

/** The secret access key: the file's one line. The caller disposes of it. Errors as {@link openKmsClient}. */
export function readKmsSecret(file: string): SecretBuffer {
  using content = readPrivateFile(file, { holds: "the KMS's secret access key", maxBytes: maxSecretFileBytes });
  return content.expose((bytes) => SecretBuffer.copyOf(withoutLineEnd(bytes)));
}

/** PEM, not looked at. @throws {ChainBuildError} `FILE_UNUSABLE`. */
export function readCaFile(file: string): string {
  const bytes = Buffer.alloc(maxCaPemCharacters + 1);
  let length = 0;
  try {
    // Not blocking: a named pipe would be waited for.
    const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      for (let got = -1; got !== 0 && length < bytes.length; length += got)
        got = readSync(fd, bytes, length, bytes.length - length, null);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw new ChainBuildError("FILE_UNUSABLE", `the KMS's certificate ${file} cannot be read`, { cause });
  }
  return bytes.toString("latin1", 0, length);
}
