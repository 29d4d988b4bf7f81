import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { EnclaveError } from "../errors.ts";
import { isUnfinished, trialSettingsFile } from "./trial-settings.ts";

/**
 * Makes the folder of a new trial network, of mode 0700, with those above it; one that is there has to be empty.
 *
 * @throws EnclaveError SETTINGS_INVALID: it holds something, is no folder, or cannot be made or read
 */
export function makeEmptyFolder(folder: string): void {
  if (namesIn(folder).length > 0)
    throw new EnclaveError("SETTINGS_INVALID", `${folder} is not empty, so no network is made there`, {
      hint: remedyFor(folder),
    });
  try {
    makeFolder(folder);
  } catch (cause) {
    throw unusable(folder, cause);
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw unusable(folder, cause);
  }
}

function remedyFor(folder: string): string {
  if (existsSync(join(folder, trialSettingsFile)))
    return `it holds a network already, which strongroom fpc status --folder ${folder} shows: go on with it, remove it, or name another folder by --folder`;
  if (isUnfinished(folder))
    return "it holds a network that was not finished, which is of no use: remove it, or name another folder by --folder";
  return "name another folder by --folder";
}

/** One by one: made recursively, a folder in a file system that takes none (/proc) is tried for ever. */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || dirname(folder) === folder) throw error;
    makeFolder(dirname(folder));
    mkdirSync(folder, { mode: 0o700 });
  }
}

function unusable(folder: string, cause: unknown): EnclaveError {
  const { code } = cause as NodeJS.ErrnoException;
  const why = code === "ENOTDIR" ? "it is no folder, or in none" : code;
  return new EnclaveError("SETTINGS_INVALID", `no network can be made in ${folder}: ${why}`, {
    cause,
    hint: "name another folder by --folder",
  });
}
