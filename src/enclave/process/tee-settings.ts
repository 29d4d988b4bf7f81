import { EnclaveError } from "../errors.ts";
import { readKeyManagerSettings } from "../tee/key-manager/settings.ts";
import type { TeeSettings } from "../tee/open-backend.ts";

/** Names of the settings of each kind of platform; those with a question mark may be left out. */
const names: Readonly<Record<TeeSettings["kind"], readonly string[]>> = {
  process: ["platform"],
  tpm: ["platform", "tcti"],
  gramine: ["folder?"],
};
const longestSettingsBytes = 16_384;

/**
 * @param bytes - JSON of {@link TeeSettings}, as the host says it. A wrong word of the host's shows in the quotes.
 * @throws EnclaveError SETTINGS_INVALID: unknown, missing, or not of its form
 */
export function readTeeSettings(bytes: Buffer): TeeSettings {
  const { kind, keyManager, ...rest } = readObject(bytes);
  if (typeof kind !== "string" || !Object.hasOwn(names, kind)) throw refused("there is no platform of that kind");
  const known = names[kind as TeeSettings["kind"]];
  for (const [name, value] of Object.entries(rest)) {
    if (!known.includes(name) && !known.includes(`${name}?`)) throw refused(`${kind} has no setting of that name`);
    if (typeof value !== "string" || value === "") throw refused(`"${name}" is no text`);
  }
  for (const name of known) if (!name.endsWith("?") && rest[name] === undefined) throw refused(`"${name}" is missing`);
  const platform = { kind, ...rest } as TeeSettings;
  return keyManager === undefined ? platform : { ...platform, keyManager: readKeyManagerSettings(keyManager) };
}

function readObject(bytes: Buffer): Record<string, unknown> {
  if (bytes.length > longestSettingsBytes) throw refused("they are too long");
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    // Said below.
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw refused("they are not a JSON object");
  return value as Record<string, unknown>;
}

function refused(why: string): EnclaveError {
  return new EnclaveError("SETTINGS_INVALID", `the settings of the enclave's platform: ${why}`);
}
