import { EnclaveError } from "../errors.ts";

const enclaveNamePattern = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** A name that an enclave has at its host, which is a folder's. @throws EnclaveError SETTINGS_INVALID */
export function checkEnclaveName(name: string): void {
  if (!enclaveNamePattern.test(name))
    throw new EnclaveError(
      "SETTINGS_INVALID",
      `${JSON.stringify(name.slice(0, 64))} cannot be an enclave's name: it is of up to 32 lower-case letters, digits and hyphens`,
      { hint: "it is the name at the host (--enclave), such as main; an enclave's id is not" },
    );
}
