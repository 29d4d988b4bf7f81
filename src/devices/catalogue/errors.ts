import { CodedError, type ErrorDetails } from "../../crypto/coded-error.ts";

/** Every way the list of devices can fail, with the command line's exit code. */
export const catalogueErrors = {
  CATALOGUE_NOT_FOUND: { exit: 1, meaning: "there is no devices.toml" },
  CATALOGUE_INVALID: { exit: 2, meaning: "devices.toml is not what it must be" },
  CATALOGUE_UNSAFE: {
    exit: 5,
    meaning: "devices.toml, or a file that it names, could be changed or read by someone else",
  },
  CATALOGUE_UNTRUSTED: { exit: 5, meaning: "devices.toml is not the one that an administrator trusted" },
  DEVICE_UNKNOWN: { exit: 2, meaning: "devices.toml names no such device" },
  LIBRARY_UNUSABLE: { exit: 1, meaning: "the device's library is missing or is not a file" },
  LIBRARY_CHANGED: { exit: 5, meaning: "the device's library is another than the one that devices.toml pins" },
} as const;

export type CatalogueErrorCode = keyof typeof catalogueErrors;

export class CatalogueError extends CodedError<CatalogueErrorCode> {
  override readonly name = "CatalogueError";

  constructor(code: CatalogueErrorCode, message?: string, details?: ErrorDetails) {
    super(catalogueErrors, code, message, details);
  }
}
