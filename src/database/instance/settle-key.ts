import { existsSync, lstatSync, rmSync } from "node:fs";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { syncFolder } from "../../files/durable-file.ts";
import type { KeyHolder } from "../../volume/key-holder.ts";
import { DatabaseError } from "../errors.ts";
import { InstanceEnvelopes } from "../gm/instance-envelopes.ts";
import type { MetadataKeySettings } from "../settings.ts";
import type { InstancePaths } from "./instance-folder.ts";
import {
  envelopInstanceKey,
  instanceKeyBytes,
  openInstanceEnvelope,
  readInstanceEnvelope,
  readInstanceKey,
  writeInstanceEnvelope,
  writeInstanceKey,
} from "./instance-key.ts";

export interface KeySources {
  readonly paths: InstancePaths;
  readonly metadataKey: MetadataKeySettings;
  /** Undefined without the settings of encryption. */
  readonly holder: KeyHolder | undefined;
}

/** Where the instance key is kept in the clear, if it is. */
export function keyFileOf({ paths, metadataKey }: Pick<KeySources, "paths" | "metadataKey">): string | undefined {
  return metadataKey.in === "file" ? (metadataKey.file ?? paths.keyFile) : undefined;
}

/**
 * The instance key of an instance that there is: from its file, where the settings allow one, else with the master key.
 *
 * @returns The caller disposes of it.
 * @throws {DatabaseError} `INSTANCE_KEY_ABSENT` when neither has it, `MASTER_KEY_MISMATCH` when the configured master key is not the
 *   instance's, `ENVELOPE_REFUSED`, `INSTANCE_DAMAGED`.
 */
export async function findInstanceKey(sources: KeySources): Promise<SecretBuffer> {
  const { paths, holder } = sources;
  if (holder !== undefined && existsSync(paths.envelopeFile)) {
    const enveloped = new InstanceEnvelopes(paths).to(holder.publicKey) ?? readInstanceEnvelope(paths.envelopeFile);
    if (enveloped !== undefined) return openInstanceEnvelope(enveloped, holder);
  }
  const file = keyFileOf(sources);
  const kept = file === undefined ? undefined : readInstanceKey(file);
  if (kept !== undefined) return kept;
  const where = file === undefined ? "is kept under the master key alone" : `is not in ${file}`;
  throw new DatabaseError("INSTANCE_KEY_ABSENT", `the instance key ${where}, and the master key is not configured`, {
    hint: "set provider and what goes with it in [security.encryption], or restore the file",
  });
}

/**
 * The key for an instance that is about to be made. What an interrupted making left is used again, so that no key that something
 * is sealed under is ever overwritten.
 */
export async function keyForNewInstance(sources: KeySources): Promise<SecretBuffer> {
  const { paths, holder } = sources;
  const file = keyFileOf(sources);
  const kept = file === undefined ? undefined : readInstanceKey(file);
  if (kept !== undefined) return kept;
  const enveloped = readInstanceEnvelope(paths.envelopeFile);
  if (enveloped === undefined || holder === undefined) return SecretBuffer.random(instanceKeyBytes);
  return openInstanceEnvelope(enveloped, holder);
}

/**
 * Makes the files of the key agree with the settings: the envelope where there is a master key, the file where it is to be kept in
 * one. Where it is to be under the master key alone, the file in the instance's folder goes, once the envelope is there.
 *
 * @param key - Proved to be this instance's, or of one without content.
 */
export function keepInstanceKey(key: SecretBuffer, sources: KeySources): void {
  const { paths, metadataKey, holder } = sources;
  const file = keyFileOf(sources);
  if (file !== undefined && !existsSync(file)) writeInstanceKey(file, key);
  if (holder !== undefined && !existsSync(paths.envelopeFile))
    writeInstanceEnvelope(paths.envelopeFile, envelopInstanceKey(key, holder.publicKey));
  if (metadataKey.in === "master" && lstatSync(paths.keyFile, { throwIfNoEntry: false }) !== undefined) {
    rmSync(paths.keyFile);
    syncFolder(paths.folder);
  }
}

/**
 * What is wrong with the file that keeps the instance key. Where the master key opens the instance the file is not used: so it shows
 * at each start, and not on the day when it is needed.
 *
 * @param key - The instance's.
 */
export function keyFileTrouble(
  sources: Pick<KeySources, "paths" | "metadataKey">,
  key: SecretBuffer,
): string | undefined {
  const file = keyFileOf(sources);
  if (file === undefined) return undefined;
  const anew = "remove it, and the next start with the master key writes it anew";
  try {
    using kept = readInstanceKey(file);
    return kept === undefined || kept.equals(key)
      ? undefined
      : `${file} holds another key than this instance's: ${anew}`;
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return `${error.message}: ${error.code === "INSTANCE_DAMAGED" ? anew : error.hint}`;
  }
}
