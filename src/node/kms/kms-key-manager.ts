import { join } from "node:path";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { AwsKmsClient, type AwsKmsTimes } from "../../devices/aws-kms/client.ts";
import { NodeError } from "../errors.ts";
import { readSecretFile } from "../file-steps.ts";
import type { KeyManager } from "../key-manager.ts";
import type { Manifest } from "../manifest.ts";
import type { LoadedManifest } from "../manifest-reader.ts";
import { IntegrationFolder } from "./integration-folder.ts";

const dataKeyBytes = 32;
const maxUnlockBytes = 4096;
/** The name under which systemd hands the unlock secret over: `LoadCredential=strongroom-unlock:…`. */
const credentialName = "strongroom-unlock";

/**
 * A node's key manager that is a KMS: the node's data key is made and opened there, under the node's own context, so that
 * the KMS decides on every start and has it on its record.
 */
export class KmsKeyManager implements KeyManager {
  readonly #client: AwsKmsClient;

  constructor(client: AwsKmsClient) {
    this.#client = client;
  }

  /** `key` empty: the master key of the integration. */
  async generateDataKey({ key, context, bytes = dataKeyBytes }: Parameters<KeyManager["generateDataKey"]>[0]) {
    const named = key === "" ? undefined : key;
    const { keyArn, blob } = await this.#client.generateDataKeyWithoutPlaintext(bytes, context, named);
    return { keyId: keyArn, keyVersion: 1, wrapped: blob };
  }

  async unwrap({ wrapped, context, key }: Parameters<KeyManager["unwrap"]>[0]) {
    const { keyArn, plaintext } = await this.#client.decrypt(wrapped, context, key);
    return { keyId: keyArn, keyVersion: 1, plaintext };
  }

  close(): void {
    this.#client[Symbol.dispose]();
  }
}

/**
 * Opens the integration that a manifest names, with the unlock secret of its store. Nothing is asked of the KMS yet.
 *
 * @throws {NodeError} `INTEGRATION_NOT_FOUND`, `INTEGRATION_DAMAGED`, `FILE_UNSAFE`, `FILE_UNUSABLE`.
 * @throws {DeviceError} `UNLOCK_REFUSED`. @throws {AwsKmsError} `KMS_SETTINGS_TAMPERED`.
 */
export async function connectKms(
  loaded: LoadedManifest,
  kms: NonNullable<Manifest["kms"]>,
  times: AwsKmsTimes = {},
): Promise<KeyManager> {
  const store = new IntegrationFolder(loaded.at(kms.store));
  using unlock = readUnlockFile(unlockFileOf(loaded, kms));
  const { settings, secret } = await store.open(kms.integration, unlock);
  using held = secret;
  const masterKey = kms.masterKey ?? settings.masterKey;
  return new KmsKeyManager(new AwsKmsClient({ ...settings, masterKey }, held, times));
}

/** From the manifest, else the systemd credential. */
function unlockFileOf(loaded: LoadedManifest, { unlockFile }: NonNullable<Manifest["kms"]>): string {
  if (unlockFile !== undefined) return loaded.at(unlockFile);
  const folder = process.env.CREDENTIALS_DIRECTORY;
  if (folder !== undefined) return join(folder, credentialName);
  throw new NodeError("FILE_UNUSABLE", `${loaded.file} names no unlock_file for its integration`, {
    hint: `set kms.unlock_file, or start it under systemd with LoadCredential=${credentialName}:FILE`,
  });
}

/** One newline at the end is not part of the secret. */
function readUnlockFile(file: string): SecretBuffer {
  const { secret, stats } = readSecretFile(file, maxUnlockBytes);
  using whole = secret;
  if ((stats.mode & 0o077) !== 0)
    throw new NodeError("FILE_UNSAFE", `others may read the unlock secret ${file}`, { hint: `chmod 600 ${file}` });
  return whole.expose((bytes) => SecretBuffer.copyOf(bytes.at(-1) === 10 ? bytes.subarray(0, -1) : bytes));
}
