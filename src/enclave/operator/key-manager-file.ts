import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeDurably } from "../../files/durable-file.ts";
import { EnclaveError } from "../errors.ts";
import { type KeyManagerSettings, readKeyManagerSettings } from "../tee/key-manager/settings.ts";

const fileName = "key-manager.json";
const maxFileBytes = 16_384;

/** Which key manager a folder's enclaves are under, where they are under one. @throws EnclaveError SETTINGS_INVALID */
export function readKeyManagerFile(folder: string): KeyManagerSettings | undefined {
  const file = join(folder, fileName);
  if (!existsSync(file)) return undefined;
  let value: unknown;
  try {
    if (statSync(file).size <= maxFileBytes) value = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new EnclaveError("SETTINGS_INVALID", `${file} cannot be read`, { cause });
  }
  return readKeyManagerSettings(value);
}

/** Durable when it returns; the folder is made where it is not there. @throws EnclaveError SETTINGS_INVALID */
export function writeKeyManagerFile(folder: string, settings: KeyManagerSettings): void {
  const checked = readKeyManagerSettings(settings);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeDurably(join(folder, fileName), Buffer.from(`${JSON.stringify(checked, undefined, 2)}\n`));
}
