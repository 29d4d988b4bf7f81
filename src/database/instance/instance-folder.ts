import { existsSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseError } from "../errors.ts";

/** The files of a database instance in its folder, beside those of its volume. Names are part of the format. */
export interface InstancePaths {
  /** By its real path; the place of the volume. */
  readonly folder: string;
  /** Held by the process that serves the instance, or changes its keys. */
  readonly lockFile: string;
  /** The instance key under the master key. */
  readonly envelopeFile: string;
  /** The same under the next master key, while the master key is being changed. */
  readonly nextEnvelopeFile: string;
  /** The master keys of the provider key-manager, wrapped by it. */
  readonly masterRecordFile: string;
  /** What a change of the master key is about to do to the settings. */
  readonly rotationFile: string;
  /** The instance key itself, where it is kept in a file of the folder. */
  readonly keyFile: string;
  /** Where the running instance answers commands on this machine. */
  readonly adminSocket: string;
  /** Holds the socket that influxd serves HTTP on. */
  readonly influxdFolder: string;
}

const names = {
  lockFile: "instance.lock",
  envelopeFile: "instance.envelope",
  nextEnvelopeFile: "instance.envelope.next",
  masterRecordFile: "instance.master",
  rotationFile: "instance.rotation",
  keyFile: "instance.key",
  adminSocket: "instance.admin",
  influxdFolder: "instance.influxd",
} as const;

/** Every name that an instance has in its folder beyond those of the volume; `.tmp` is what an interrupted writing leaves. */
export const instanceFileNames: readonly string[] = Object.values(names).flatMap((name) => [name, `${name}.tmp`]);

export function instancePaths(given: string): InstancePaths {
  const folder = existsSync(given) ? realpathSync(given) : given;
  return {
    folder,
    lockFile: join(folder, names.lockFile),
    envelopeFile: join(folder, names.envelopeFile),
    nextEnvelopeFile: join(folder, names.nextEnvelopeFile),
    masterRecordFile: join(folder, names.masterRecordFile),
    rotationFile: join(folder, names.rotationFile),
    keyFile: join(folder, names.keyFile),
    adminSocket: join(folder, names.adminSocket),
    influxdFolder: join(folder, names.influxdFolder),
  };
}

const groupOrOthersMayWrite = 0o022;

/**
 * Makes the folder if it is missing, for its owner alone.
 *
 * @throws {DatabaseError} `SETTINGS_INVALID` for one that cannot be made, or in which another user could put a socket or folder in
 *   the place of ours.
 */
export function makeInstanceFolder(folder: string): InstancePaths {
  makeFolders(folder);
  if ((statSync(folder).mode & groupOrOthersMayWrite) !== 0)
    throw new DatabaseError("SETTINGS_INVALID", `other users of this machine may write to ${folder}`, {
      hint: `chmod 700 ${folder}, or name another folder with data of [database] (--data)`,
    });
  return instancePaths(folder);
}

/** Not `recursive` of mkdir: below a folder where nothing can be made (/proc), Node tries for ever. */
function makeFolders(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST" && statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return;
    if (code === "ENOENT" && !existsSync(dirname(folder))) {
      makeFolders(dirname(folder));
      makeFolders(folder);
      return;
    }
    const why = code === "EEXIST" || code === "ENOTDIR" ? "there is a file in its way" : String(code);
    throw new DatabaseError("SETTINGS_INVALID", `the folder ${folder} cannot be made: ${why}`, {
      hint: "name another folder with data of [database] (--data)",
      cause,
    });
  }
}
