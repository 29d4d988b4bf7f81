import { existsSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { EnclaveError } from "../errors.ts";
import { codeAt, measureCode } from "../tee/measure-code.ts";

/** A release of Strongroom in a folder, whose enclaves can be run beside those of the release that runs this. */
export interface Installation {
  readonly folder: string;
  /** Of its enclaves of chaincodes: 64 upper-case hex digits. */
  readonly measurement: string;
  /** Module that an enclave's process runs. */
  readonly entry: URL;
  /** Its Node. */
  readonly program: string;
}

/**
 * Finds the enclaves' program of an installation, as its `bin/strongroom` would.
 *
 * @param cache - A platform's folder where hashes of programs are kept
 * @throws EnclaveError SETTINGS_INVALID: there is none
 */
export async function openInstallation(path: string, cache?: string): Promise<Installation> {
  const folder = resolve(path);
  const isBuilt = existsSync(join(folder, "dist/enclave/process/main.js")) && !existsSync(join(folder, ".git"));
  const [sources, main] = isBuilt ? [join(folder, "dist"), "main.js"] : [join(folder, "src"), "main.ts"];
  const entry = join(sources, "enclave/process", main);
  if (!existsSync(entry))
    throw new EnclaveError("SETTINGS_INVALID", `${folder} is no installation of Strongroom with enclaves`, {
      hint: "name the folder that holds its bin and src, or bin and dist",
    });
  const node = join(folder, "node_modules/.bin/node");
  const program = existsSync(node) ? realpathSync(node) : process.execPath;
  const measurement = await measureCode(codeAt(sources, program, "chaincode"), cache);
  return { folder, measurement, entry: pathToFileURL(entry), program };
}
