import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../errors.ts";
import type { KeyFormat, PublicIdentity } from "./format.ts";
import { nodekeyHex } from "./nodekey-hex.ts";
import { pem } from "./pem.ts";
import { opaque, rawSecp256k1 } from "./raw.ts";

/** Every key-file format, in the order in which an unknown file is tried. */
export const keyFormats: readonly KeyFormat[] = [pem, nodekeyHex, rawSecp256k1, opaque];

/** @throws {NodeError} `INPUT_INVALID` for a name that is not in the table. */
export function keyFormatByName(name: string): KeyFormat {
  const format = keyFormats.find((candidate) => candidate.name === name);
  if (format !== undefined) return format;
  const names = keyFormats.map((candidate) => candidate.name).join(", ");
  throw new NodeError("INPUT_INVALID", `there is no key format ${JSON.stringify(name)}; there are ${names}`);
}

/**
 * Finds the format of a key file.
 *
 * @throws {NodeError} `KEY_FILE_INVALID` when no format that is detected fits.
 */
export function detectKeyFormat(file: SecretBuffer): { readonly format: KeyFormat; readonly identity: PublicIdentity } {
  const reasons: string[] = [];
  for (const format of keyFormats.filter((candidate) => candidate.detected)) {
    try {
      return { format, identity: format.readPublicIdentity(file) };
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      reasons.push(`${format.name}: ${error.message}`);
    }
  }
  throw new NodeError("KEY_FILE_INVALID", `the key file has no known format (${reasons.join("; ")})`, {
    hint: "name the format with --format; --format opaque seals any bytes",
  });
}

/** The one line by which a manifest names a key: its node id, else its fingerprint, else `none`. */
export function identityLine(identity: PublicIdentity): string {
  return identity.nodeId ?? identity.fingerprint ?? "none";
}
