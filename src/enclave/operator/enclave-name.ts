import { EnclaveError } from "../errors.ts";

const enclaveNamePattern = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** A name that an enclave has at its host, which is a folder's. @throws EnclaveError SETTINGS_INVALID */
export function checkEnclaveName(name: string): void {
  if (!enclaveNamePattern.test(name))
    throw new EnclaveError(
      "SETTINGS_INVALID",
      "an enclave's name is of up to 32 lower-case letters, digits and hyphens",
    );
}
