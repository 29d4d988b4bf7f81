import type { AttestationType } from "../evidence/attestation-json.ts";
import type { TeeBackend, TeeKind } from "./backend.ts";
import { openGramineBackend } from "./gramine/backend.ts";
import { KeyManagedBackend } from "./key-manager/backend.ts";
import type { KeyManagerSettings } from "./key-manager/settings.ts";
import { type EnclaveRole, ownCode } from "./measure-code.ts";
import { openProcessBackend } from "./process/backend.ts";
import { openTpmBackend } from "./tpm/backend.ts";

/** Where an enclave's platform is, as its host tells it. A host that lies gets quotes that nobody accepts. */
export type PlatformSettings =
  | { readonly kind: "process"; readonly platform: string }
  | { readonly kind: "tpm"; readonly platform: string; readonly tcti: string }
  | { readonly kind: "gramine"; readonly folder?: string };

/** An enclave with a key manager opens only while that answers, and agrees. Ledger enclaves seal nothing, and have none. */
export type TeeSettings = PlatformSettings & { readonly keyManager?: KeyManagerSettings };

/**
 * @param role - A constant of the program that opens it; in Gramine the manifest is measured, and says which program that is
 * @throws EnclaveError SETTINGS_INVALID
 */
export async function openTeeBackend(settings: TeeSettings, role: EnclaveRole): Promise<TeeBackend> {
  const platform = await openPlatform(settings, role);
  return settings.keyManager === undefined ? platform : new KeyManagedBackend(platform, settings.keyManager);
}

async function openPlatform(settings: PlatformSettings, role: EnclaveRole): Promise<TeeBackend> {
  switch (settings.kind) {
    case "process":
      return await openProcessBackend({ platform: settings.platform, code: ownCode(role) });
    case "tpm":
      return await openTpmBackend({ platform: settings.platform, tcti: settings.tcti, code: ownCode(role) });
    case "gramine":
      return await openGramineBackend(settings);
  }
}

/** What a kind of platform is worth, for `status` and documentation. */
export interface BackendFacts {
  readonly kind: TeeKind;
  readonly attestationType: AttestationType;
  readonly protectsFromRoot: boolean;
  readonly protects: string;
  readonly doesNotProtect: string;
}

export function describeBackends(): readonly BackendFacts[] {
  return [
    {
      kind: "process",
      attestationType: "simulated",
      protectsFromRoot: false,
      protects: "keys on disk from whoever cannot read the platform's folder, and from other versions of the code",
      doesNotProtect:
        "does not protect from the host's root, nor from who holds the platform's folder: it is simulated",
    },
    {
      kind: "tpm",
      attestationType: "tpm",
      protectsFromRoot: false,
      protects:
        "keys on disk from everybody without this machine's TPM, and from other code after the machine's next start",
      doesNotProtect: "does not protect from the host's root, who reads the memory of processes and extends the PCR",
    },
    {
      kind: "gramine",
      attestationType: "sgx-dcap",
      protectsFromRoot: true,
      protects: "keys in memory and on disk from the host, its root included, as far as Intel SGX does",
      doesNotProtect: "does not protect from attacks on the processor that its TCB status tells of",
    },
  ];
}
