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

export class CatalogueError extends Error {
  override readonly name = "CatalogueError";
  readonly code: CatalogueErrorCode;
  readonly hint: string | undefined;

  constructor(
    code: CatalogueErrorCode,
    message: string = catalogueErrors[code].meaning,
    { cause, hint }: { readonly cause?: unknown; readonly hint?: string } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hint = hint;
  }

  /** The command line's exit code for this failure. */
  get exitCode(): number {
    return catalogueErrors[this.code].exit;
  }
}
