import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../errors.ts";
import type { KeyFormat, PublicIdentity } from "./format.ts";
import { keyFormatNames, loadKeyFormat, noSuchFormat } from "./load.ts";

/** Every key-file format, in the order in which an unknown file is tried. */
export const keyFormats: readonly KeyFormat[] = await Promise.all(keyFormatNames.map(loadKeyFormat));

/** @throws {NodeError} `INPUT_INVALID` for a name that is not in the table. */
export function keyFormatByName(name: string): KeyFormat {
  const format = keyFormats.find((candidate) => candidate.name === name);
  if (format === undefined) throw noSuchFormat(name);
  return format;
}

/**
 * Finds the format of a key file: the one and only that fits.
 *
 * @throws {NodeError} `KEY_FILE_INVALID` when no format that is detected fits, or more than one.
 */
export function detectKeyFormat(file: SecretBuffer): { readonly format: KeyFormat; readonly identity: PublicIdentity } {
  const reasons: string[] = [];
  const fitting: { readonly format: KeyFormat; readonly identity: PublicIdentity }[] = [];
  for (const format of keyFormats) {
    if (typeof format.detected === "function" ? !format.detected(file) : !format.detected) continue;
    try {
      fitting.push({ format, identity: format.readPublicIdentity(file) });
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      reasons.push(`${format.name}: ${error.message}`);
    }
  }
  const [only] = fitting;
  if (only !== undefined && fitting.length === 1) return only;
  const names = fitting.map(({ format }) => format.name).join(", ");
  throw new NodeError(
    "KEY_FILE_INVALID",
    only === undefined
      ? `the key file has no known format (${reasons.join("; ")})`
      : `the key file could be any of ${names}`,
    { hint: "name the format with --format; --format opaque seals any bytes" },
  );
}
