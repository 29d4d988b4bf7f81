import { existsSync, lstatSync, readFileSync, rmSync } from "node:fs";
import { isAbsolute } from "node:path";
import { syncFolder, writeDurably } from "../../files/durable-file.ts";
import { DatabaseError } from "../errors.ts";
import { parsePublicKey } from "../gm/public-key.ts";
import type { InstancePaths } from "../instance/instance-folder.ts";

/** The settings that follow a change of the master key. Paths are absolute. */
export interface SettingsToChange {
  readonly file: string;
  readonly privateKeyFile: string | undefined;
  readonly pincodeFile: string | undefined;
}

/** A change of the master key that is about to come into force. */
export interface RotationJournal {
  /** `04 ‖ X ‖ Y`. */
  readonly from: Buffer;
  readonly to: Buffer;
  /** Undefined: whoever changes the master key sets them. */
  readonly settings: SettingsToChange | undefined;
}

const format = "strongroom-rotation/1";
const maxFileBytes = 16 * 1024;

/** @returns Undefined when no change is under way. @throws {DatabaseError} `INSTANCE_DAMAGED`. */
export function readRotationJournal({ rotationFile: file }: InstancePaths): RotationJournal | undefined {
  if (!existsSync(file)) return undefined;
  try {
    const found = lstatSync(file);
    if (!found.isFile() || found.size > maxFileBytes) throw new SyntaxError("no journal");
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (!isRecord(value) || value.format !== format) throw new SyntaxError("no journal");
    const { from, to, settings } = value;
    return {
      from: parsePublicKey(String(from), "from"),
      to: parsePublicKey(String(to), "to"),
      settings: settings === null ? undefined : settingsOf(settings),
    };
  } catch (cause) {
    throw new DatabaseError("INSTANCE_DAMAGED", `${file} is not what was written there`, {
      hint: "remove it, and set in [security.encryption] the master key that the instance is under",
      cause,
    });
  }
}

/** Durably, and whole. */
export function writeRotationJournal({ rotationFile }: InstancePaths, { from, to, settings }: RotationJournal): void {
  const { file, privateKeyFile = null, pincodeFile = null } = settings ?? {};
  const text = JSON.stringify({
    format,
    from: from.toString("hex"),
    to: to.toString("hex"),
    settings: file === undefined ? null : { file, privateKeyFile, pincodeFile },
  });
  writeDurably(rotationFile, Buffer.from(`${text}\n`));
}

/** The change is complete, or given up. Durable. */
export function removeRotationJournal({ rotationFile, folder }: InstancePaths): void {
  rmSync(rotationFile, { force: true });
  syncFolder(folder);
}

function settingsOf(value: unknown): SettingsToChange {
  if (!isRecord(value)) throw new SyntaxError("no settings");
  const { file, privateKeyFile, pincodeFile } = value;
  if (!isPath(file)) throw new SyntaxError("no settings");
  return { file, privateKeyFile: pathOrNone(privateKeyFile), pincodeFile: pathOrNone(pincodeFile) };
}

function pathOrNone(value: unknown): string | undefined {
  if (value === null) return undefined;
  if (!isPath(value)) throw new SyntaxError("no path");
  return value;
}

function isPath(value: unknown): value is string {
  return typeof value === "string" && isAbsolute(value) && !value.includes("\0");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
