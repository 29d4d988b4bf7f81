import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { readSecretFile } from "../../crypto/secret-file.ts";
import { EnclaveError } from "../errors.ts";
import {
  encryptionKeyOf,
  newEncryptionKeyPair,
  newSigningKeyPair,
  readDecryptionKey,
  readSigningKey,
  verificationKeyOf,
} from "../protocol/key-formats.ts";
import type { AttestationRoot } from "../tee/attestation-root.ts";
import { writeNewFile } from "../tee/new-file.ts";
import { createProcessPlatform } from "../tee/process/platform.ts";
import type { OrganisationKeys } from "./recovery.ts";

const enclaveNamePattern = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** An organisation of a trial network: its keys, and its host with a simulated platform and enclaves, all in one folder. */
export class TrialOrganisation {
  readonly mspId: string;
  readonly #folder: string;

  constructor(mspId: string, folder: string) {
    this.mspId = mspId;
    this.#folder = folder;
  }

  /** Makes its keys and its platform. */
  static async create(mspId: string, folder: string, root: AttestationRoot): Promise<TrialOrganisation> {
    const made = new TrialOrganisation(mspId, folder);
    const [policy, recovery] = await Promise.all([newSigningKeyPair(), newEncryptionKeyPair()]);
    using policyPem = policy.privatePem;
    using recoveryPem = recovery.privatePem;
    await writeSecret(made.#policyKeyFile, policyPem);
    await writeSecret(made.#recoveryKeyFile, recoveryPem);
    await createProcessPlatform(made.platform, root, `platform of ${mspId}`);
    return made;
  }

  /** Of its host's simulated platform. */
  get platform(): string {
    return join(this.#folder, "platform");
  }

  /** Private keys, which a real organisation keeps apart from its hosts. */
  keys(): OrganisationKeys {
    using policyPem = readKey(this.#policyKeyFile);
    using recoveryPem = readKey(this.#recoveryKeyFile);
    return { policyKey: readSigningKey(policyPem), recoveryKey: readDecryptionKey(recoveryPem) };
  }

  /** As the policy document has them, in PEM. */
  publicKeys(): { readonly policyKey: Buffer; readonly recoveryKey: Buffer } {
    const { policyKey, recoveryKey } = this.keys();
    return { policyKey: verificationKeyOf(policyKey), recoveryKey: encryptionKeyOf(recoveryKey) };
  }

  /** Names of its enclaves' folders, in order. */
  enclaves(chaincodeId: string): readonly string[] {
    try {
      return readdirSync(this.#enclavesFolder(chaincodeId)).sort();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  }

  /** The folder of an enclave's stub, made where it is not there. @throws EnclaveError SETTINGS_INVALID */
  enclaveFolder(chaincodeId: string, name: string): string {
    if (!enclaveNamePattern.test(name))
      throw new EnclaveError(
        "SETTINGS_INVALID",
        "an enclave's name is of up to 32 lower-case letters, digits and hyphens",
      );
    const folder = this.#enclavesFolder(chaincodeId);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return join(folder, name);
  }

  #enclavesFolder(chaincodeId: string): string {
    return join(this.#folder, "enclaves", chaincodeId);
  }

  get #policyKeyFile(): string {
    return join(this.#folder, "policy-key.pem");
  }

  get #recoveryKeyFile(): string {
    return join(this.#folder, "recovery-key.pem");
  }
}

async function writeSecret(path: string, pem: SecretBuffer): Promise<void> {
  const copy = pem.expose((bytes) => Buffer.from(bytes));
  try {
    await writeNewFile(path, copy, 0o600);
  } finally {
    copy.fill(0);
  }
}

function readKey(path: string): SecretBuffer {
  return readSecretFile(path, {
    what: "key",
    fileName: "key file",
    refusal: (message, { hint }) => new EnclaveError("SETTINGS_INVALID", message, { hint }),
  });
}
