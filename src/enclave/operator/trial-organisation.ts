import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import {
  encryptionKeyOf,
  newEncryptionKeyPair,
  newSigningKeyPair,
  verificationKeyOf,
} from "../protocol/key-formats.ts";
import type { AttestationRoot } from "../tee/attestation-root.ts";
import type { KeyManagerSettings } from "../tee/key-manager/settings.ts";
import { writeNewFile } from "../tee/new-file.ts";
import { createProcessPlatform } from "../tee/process/platform.ts";
import { createdEnclaves, enclaveNames } from "./created-enclaves.ts";
import { EnclaveKeyManagers } from "./enclave-key-managers.ts";
import { checkEnclaveName } from "./enclave-name.ts";
import { readKeyManagerFile, writeKeyManagerFile } from "./key-manager-file.ts";
import { readOrganisationKeys } from "./organisation-keys.ts";
import type { OrganisationKeys } from "./recovery.ts";
import { readHostRecords } from "./stub-records.ts";
import type { StubRecords } from "./trace.ts";

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
    return readOrganisationKeys(this.#policyKeyFile, this.#recoveryKeyFile);
  }

  /** As the policy document has them, in PEM. */
  publicKeys(): { readonly policyKey: Buffer; readonly recoveryKey: Buffer } {
    const { policyKey, recoveryKey } = this.keys();
    return { policyKey: verificationKeyOf(policyKey), recoveryKey: encryptionKeyOf(recoveryKey) };
  }

  /** Names of its enclaves, in order. */
  enclaves(chaincodeId: string): readonly string[] {
    return createdEnclaves(this.#enclavesFolder(chaincodeId));
  }

  /** The same by the enclaves' ids, upper-case hexadecimal. */
  enclaveNames(chaincodeId: string): ReadonlyMap<string, string> {
    return enclaveNames(this.#enclavesFolder(chaincodeId));
  }

  /** What its host's agents wrote down. */
  stubRecords(chaincodeId: string): readonly StubRecords[] {
    return readHostRecords(this.mspId, this.#enclavesFolder(chaincodeId));
  }

  /** The folder of an enclave's stub, made where it is not there. @throws EnclaveError SETTINGS_INVALID */
  enclaveFolder(chaincodeId: string, name: string): string {
    checkEnclaveName(name);
    const folder = this.#enclavesFolder(chaincodeId);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return join(folder, name);
  }

  /** Of its enclaves. */
  keyManagers(chaincodeId: string): EnclaveKeyManagers {
    return new EnclaveKeyManagers({
      names: () => this.enclaves(chaincodeId),
      folderOf: (name) => this.enclaveFolder(chaincodeId, name),
      keyManager: () => readKeyManagerFile(this.#folder),
    });
  }

  /** Names the key manager of enclaves that the host creates from now on. @throws EnclaveError SETTINGS_INVALID */
  setKeyManager(settings: KeyManagerSettings): void {
    writeKeyManagerFile(this.#folder, settings);
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
