import { execFile } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { DatabaseError } from "../errors.ts";

/** An influxd that can be started. */
export interface InfluxdProgram {
  readonly path: string;
  /** As it says it: `1.6.7~rc0`. */
  readonly version: string;
}

const versionMs = 10_000;
const supportedMajor = "1";

/**
 * Finds influxd and asks it for its version.
 *
 * @param given - A path, or a name to look for on PATH.
 * @throws {DatabaseError} `INFLUXD_UNUSABLE` when it is missing, or not of version 1.x.
 */
export async function findInfluxd(given: string): Promise<InfluxdProgram> {
  const path = given.includes("/")
    ? given
    : (process.env.PATH ?? "")
        .split(delimiter)
        .map((folder) => join(folder, given))
        .find(isProgram);
  if (path === undefined || !isProgram(path))
    throw new DatabaseError("INFLUXD_UNUSABLE", `${given} is not a program that can be started`, {
      hint: "install it (Debian: apt-get install influxdb), or name it with influxd of [database] (--influxd)",
    });
  let output: string;
  try {
    output = (await promisify(execFile)(path, ["version"], { timeout: versionMs, env: influxdEnvironment })).stdout;
  } catch (cause) {
    // A machine that is busy, not another program.
    if ((cause as { readonly killed?: unknown }).killed === true)
      throw new DatabaseError("INFLUXD_UNUSABLE", `${path} did not tell its version within ${versionMs / 1000} s`, {
        hint: "try again when the machine is less busy",
        cause,
      });
    throw new DatabaseError("INFLUXD_UNUSABLE", `${path} does not tell its version`, { hint: needed, cause });
  }
  const version = /^InfluxDB v?(?<version>(?<major>\d+)\.\d+\S*)/.exec(output)?.groups;
  if (version?.version !== undefined && version.major === supportedMajor) return { path, version: version.version };
  const found = version?.version === undefined ? "something else than influxd" : `InfluxDB ${version.version}`;
  throw new DatabaseError("INFLUXD_UNUSABLE", `${path} is ${found}`, { hint: needed });
}

/** All that influxd gets of our environment: its own variables would change its settings. */
export const influxdEnvironment: Readonly<Record<string, string>> = {
  PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C",
};

const needed = "InfluxDB 1.x is needed, 1.6 or later";

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
