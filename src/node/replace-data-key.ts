import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { suites } from "../crypto/suite.ts";
import { writeDurably } from "../files/durable-file.ts";
import type { VolumeAnchor } from "../volume/anchor.ts";
import { refuseUnlessLocked, rekeyVolume } from "../volume/sealfs-rekey.ts";
import { dataKeyBytes, dataKeyContext, keyCheckValue, releaseDataKey } from "./data-key.ts";
import { NodeError } from "./errors.ts";
import { overwriteAndRemove } from "./file-steps.ts";
import { asRefusal, type KeyManager } from "./key-manager.ts";
import { lockNode } from "./launch-lock.ts";
import { isFisco } from "./manifest.ts";
import type { LoadedManifest } from "./manifest-reader.ts";
import { updateManifest, withTableFields } from "./manifest-writer.ts";

/** The steps of a replacement, in order. Killed after any of them, the same call finishes the work. */
export const dataKeySteps = ["made", "rekeyed", "listed", "old-removed"] as const;
export type DataKeyStep = (typeof dataKeySteps)[number];

/**
 * Puts a node whose data key protects a sealfs volume, and nothing else, under a new data key: the key manager makes it, the volume's keys
 * are wrapped anew, the manifest changes over in one step, and the old wrapped data key is overwritten and removed. What was
 * destroyed in the volume before then opens only for who kept an older copy of the volume's key table *and* of the old wrapped data key,
 * and has it released by the key manager.
 *
 * @param anchor - Of a volume that has one.
 * @returns The manifest as it is now, and the new data key, which the caller disposes of.
 * @throws {NodeError} `INPUT_INVALID` when something else lies under the data key, `NODE_RUNNING`, `DATA_KEY_MISSING`, `REFUSED`; errors of
 *   volumes, key tables and the client pass through. One that is open is refused before a key is asked for.
 */
export async function replaceDataKey(
  loaded: LoadedManifest,
  keyManager: KeyManager,
  onStep: (step: DataKeyStep) => void = () => {},
  anchor?: VolumeAnchor,
): Promise<{ readonly loaded: LoadedManifest; readonly dataKey: SecretBuffer }> {
  const { dataKey, volume } = loaded.manifest;
  refuseOtherUses(loaded);
  if (volume === undefined || dataKey.version === undefined)
    throw new NodeError("DATA_KEY_MISSING", `${loaded.manifest.node.name} has no data key, or no volume`);
  using _lock = await lockNode(loaded);
  const place = { folder: loaded.at(volume.folder) };
  await refuseUnlessLocked(place);
  using old = await releaseDataKey(loaded, keyManager);
  const version = dataKey.version + 1;
  const wrapped = versionFile(dataKey.wrapped, dataKey.version, version);
  const made = await newDataKey(loaded, keyManager, wrapped);
  try {
    onStep("made");
    await rekeyVolume(place, old, made, anchor);
    onStep("rekeyed");
    const check = keyCheckValue(suites[dataKey.suite], made);
    const updated = updateManifest(loaded, (text) =>
      withTableFields(text, "data_key", { wrapped, id: randomUUID(), version, check }),
    );
    onStep("listed");
    removeOldVersions(updated);
    onStep("old-removed");
    return { loaded: updated, dataKey: made };
  } catch (error) {
    made[Symbol.dispose]();
    throw error;
  }
}

function refuseOtherUses({ manifest, file }: LoadedManifest): void {
  const [sealed] = manifest.sealedFiles;
  const refuse = (what: string, hint: string) => new NodeError("INPUT_INVALID", `${file}: ${what}`, { hint });
  if (manifest.volume?.kind !== "sealfs")
    throw refuse(
      "only a sealfs volume can be put under another data key",
      "convert the data out, and into a new volume",
    );
  if (sealed !== undefined)
    throw refuse(
      `the sealed file ${sealed.name} lies under the data key as well`,
      "unseal it with --restore, replace the data key, and seal it again",
    );
  if (isFisco(manifest.node.kind))
    throw refuse(
      "a FISCO node's own files lie under its data key as well",
      "convert the data out, and into a new node",
    );
}

/** What an interrupted replacement has made already, or a new one. */
async function newDataKey(loaded: LoadedManifest, keyManager: KeyManager, wrapped: string): Promise<SecretBuffer> {
  const context = dataKeyContext(loaded.manifest);
  const file = loaded.at(wrapped);
  try {
    if (!existsSync(file)) {
      const key = loaded.manifest.keyManager.masterKey;
      const made = await keyManager.generateDataKey({ key, context, bytes: dataKeyBytes });
      writeDurably(file, made.wrapped);
    }
    return (await keyManager.unwrap({ wrapped: readFileSync(file), context })).plaintext;
  } catch (error) {
    throw asRefusal(error);
  }
}

function versionFile(wrapped: string, version: number, next: number): string {
  const stem = wrapped.replace(/\.box$/, "").replace(new RegExp(`\\.v${version}$`), "");
  return `${stem}.v${next}.box`;
}

/** Of this data key's file, all versions but the one that the manifest names. */
function removeOldVersions(loaded: LoadedManifest): void {
  const { wrapped, version = 1 } = loaded.manifest.dataKey;
  const inUse = loaded.at(wrapped);
  const stem = basename(wrapped).replace(`.v${version}.box`, "");
  for (const name of readdirSync(dirname(inUse))) {
    const rest = name.startsWith(`${stem}.`) ? name.slice(stem.length) : "";
    const file = join(dirname(inUse), name);
    if (file !== inUse && /^(\.v[0-9]{1,10})?\.box$/.test(rest)) overwriteAndRemove(file);
  }
}
