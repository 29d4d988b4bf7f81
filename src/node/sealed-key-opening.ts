import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { NodeError } from "./errors.ts";
import { readSecretFile } from "./file-steps.ts";
import { identityLine, type KeyFormat, type PublicIdentity } from "./key-formats/format.ts";
import type { Manifest, SealedFileEntry } from "./manifest.ts";
import type { LoadedManifest } from "./manifest-reader.ts";
import { maxSealedFileBytes, openSealedFile, readSealedMetadata, type SealedMetadata } from "./sealed-file.ts";

/** A key file's plaintext and what is known of it. The caller disposes of `plaintext`. */
export interface OpenedKey {
  readonly plaintext: SecretBuffer;
  readonly identity: PublicIdentity;
}

/**
 * Opens a sealed file, in a key format that is at hand: what a launch needs of sealed keys, and no more.
 *
 * @param accept - `any`: whatever key it holds, for a manifest that does not name it yet.
 * @throws {NodeError} `SEALED_FILE_DAMAGED`, `IDENTITY_MISMATCH`, `FILE_UNUSABLE`, `FILE_UNSAFE`.
 */
export function openSealedKey(
  loaded: LoadedManifest,
  entry: SealedFileEntry,
  format: KeyFormat,
  dataKey: SecretBuffer,
  accept: "named" | "any" = "named",
): OpenedKey {
  const file = loaded.at(entry.sealed);
  return proven(entry, file, openSealed(loaded.manifest, file, entry, dataKey), format, accept);
}

/** The key that was decrypted from `file`, if it is the one that the manifest names; else it is wiped. */
export function proven(
  entry: SealedFileEntry,
  file: string,
  plaintext: SecretBuffer,
  format: KeyFormat,
  accept: "named" | "any",
): OpenedKey {
  try {
    const identity = readIdentity(entry, file, plaintext, format);
    if (accept === "named" && identityLine(identity) !== entry.publicIdentity)
      throw new NodeError(
        "IDENTITY_MISMATCH",
        `${file} holds the key of ${identityLine(identity)}, but the manifest names ${entry.publicIdentity}`,
      );
    return { plaintext, identity };
  } catch (error) {
    plaintext[Symbol.dispose]();
    throw error;
  }
}

function openSealed(manifest: Manifest, file: string, entry: SealedFileEntry, dataKey: SecretBuffer): SecretBuffer {
  const owner = { node: manifest.node.name, network: manifest.node.network };
  using bytes = readSecretFile(file, maxSealedFileBytes).secret;
  try {
    refuseAnotherKey(manifest, entry, bytes.expose(readSealedMetadata));
    return bytes.expose((sealed) => openSealedFile(sealed, owner, dataKey)).plaintext;
  } catch (error) {
    if (!(error instanceof NodeError)) throw error;
    const hint = error.hint === undefined ? {} : { hint: error.hint };
    throw new NodeError(error.code, `${file}: ${error.message}`, { cause: error, ...hint });
  }
}

/**
 * Tells a file that was swapped for another node's, another key's or an earlier version's from one that is damaged. What it
 * says of itself is proven only when it opens.
 */
function refuseAnotherKey({ node }: Manifest, entry: SealedFileEntry, found: SealedMetadata): void {
  const expected = { ...entry, node: node.name, network: node.network };
  const foundLine = identityLine(found.publicIdentity);
  const same = ["name", "format", "version", "node", "network"] as const;
  if (foundLine === entry.publicIdentity && same.every((member) => found[member] === expected[member])) return;
  const tell = ({ name, format, version, node: of, network }: Pick<SealedMetadata, (typeof same)[number]>) =>
    `${name} (${format}, version ${version}) of ${of} in ${network}`;
  throw new NodeError(
    "IDENTITY_MISMATCH",
    `expected is ${tell(expected)} with the public identity ${entry.publicIdentity}, ` +
      `found is ${tell(found)} with the public identity ${foundLine}`,
    { hint: "put this node's own sealed file back in its place" },
  );
}

function readIdentity(
  entry: SealedFileEntry,
  file: string,
  plaintext: SecretBuffer,
  format: KeyFormat,
): PublicIdentity {
  try {
    return format.readPublicIdentity(plaintext);
  } catch (cause) {
    throw new NodeError("SEALED_FILE_DAMAGED", `${file} does not hold a ${entry.format} key`, { cause });
  }
}
