import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EnclaveError } from "../errors.ts";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import { readCredentials } from "../protocol/attested-data.ts";
import type { KeyManagerSettings } from "../tee/key-manager/settings.ts";
import { readKeyManagerFile, writeKeyManagerFile } from "./key-manager-file.ts";

/** An enclave of a host that opens by a key manager's word only. */
export interface KeyManagedEnclave {
  /** At its host. */
  readonly name: string;
  /** Upper-case hexadecimal. */
  readonly id: string;
  readonly keyManager: KeyManagerSettings;
}

/** Where a host has its enclaves, and what it says of those that have no word of their own. */
export interface EnclaveHostFolders {
  /** Names of the enclaves, in order. */
  names(): readonly string[];
  /** @throws EnclaveError SETTINGS_INVALID */
  folderOf(name: string): string;
  /** For enclaves that are created from now on. */
  keyManager(): KeyManagerSettings | undefined;
}

/** Which of a host's enclaves are under which key manager: a file in each one's folder. */
export class EnclaveKeyManagers {
  readonly #host: EnclaveHostFolders;

  constructor(host: EnclaveHostFolders) {
    this.#host = host;
  }

  /** Undefined for an enclave that was created without one. @throws EnclaveError SETTINGS_INVALID */
  of(name: string): KeyManagerSettings | undefined {
    return readKeyManagerFile(this.#host.folderOf(name));
  }

  /**
   * Names the key manager of an enclave that is to be created: what is given, else the host's. Of an enclave that is there it
   * changes where its key manager is, and as whom it is asked.
   *
   * @throws EnclaveError CONFLICT: the enclave was created without one; SETTINGS_INVALID
   */
  choose(name: string, given: KeyManagerSettings | undefined): void {
    const folder = this.#host.folderOf(name);
    const isCreated = existsSync(join(folder, "blob"));
    if (isCreated && given === undefined) return;
    if (isCreated && this.of(name) === undefined)
      throw new EnclaveError("CONFLICT", `enclave ${name} was created without a key manager`, {
        hint: "create another enclave, and have the keys exported to it",
      });
    const settings = given ?? this.#host.keyManager();
    if (settings !== undefined) writeKeyManagerFile(folder, settings);
  }

  /** Those that were created under a key manager. */
  enclaves(): readonly KeyManagedEnclave[] {
    return this.#host.names().flatMap((name) => {
      const keyManager = this.of(name);
      const folder = this.#host.folderOf(name);
      const credentials = join(folder, "credentials");
      // Credentials without a blob are of a creation that did not come to its end.
      if (keyManager === undefined || !existsSync(join(folder, "blob")) || !existsSync(credentials)) return [];
      const { enclaveId } = readCredentials(decodeStrict(CredentialsSchema, readFileSync(credentials)), "not yet");
      return [{ name, id: enclaveId.text, keyManager }];
    });
  }
}
