import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../errors.ts";
import { besuKey, besuKeyR1 } from "./besu-key.ts";
import type { KeyFormat, PublicIdentity } from "./format.ts";
import { keystoreJson } from "./keystore-json.ts";
import { nodekeyHex } from "./nodekey-hex.ts";
import { passwordFile } from "./password-file.ts";
import { pem } from "./pem.ts";
import { pkcs12 } from "./pkcs12.ts";
import { opaque, rawSecp256k1 } from "./raw.ts";
import { tesseraKey } from "./tessera-key.ts";

/** Every key-file format, in the order in which an unknown file is tried. */
export const keyFormats: readonly KeyFormat[] = [
  pem,
  nodekeyHex,
  besuKey,
  keystoreJson,
  tesseraKey,
  pkcs12,
  besuKeyR1,
  passwordFile,
  rawSecp256k1,
  opaque,
];

/** @throws {NodeError} `INPUT_INVALID` for a name that is not in the table. */
export function keyFormatByName(name: string): KeyFormat {
  const format = keyFormats.find((candidate) => candidate.name === name);
  if (format !== undefined) return format;
  const names = keyFormats.map((candidate) => candidate.name).join(", ");
  throw new NodeError("INPUT_INVALID", `there is no key format ${JSON.stringify(name)}; there are ${names}`);
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

/** The one line by which a manifest names a key: its node id, else its address, else its fingerprint, else `none`. */
export function identityLine(identity: PublicIdentity): string {
  return identity.nodeId ?? identity.address ?? identity.fingerprint ?? "none";
}
