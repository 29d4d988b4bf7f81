import { readFileSync, realpathSync, statSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { stringify } from "smol-toml";
import { replaceFileDurably } from "../files/durable-file.ts";
import { DatabaseError } from "./errors.ts";
import { formatPublicKey } from "./gm/public-key.ts";
import { fieldOf, type GivenSettings, type SettingName } from "./setting-fields.ts";
import { parseSettings } from "./settings-file.ts";

/** What a change of the master key changes in `[security.encryption]`. */
export interface NewMasterKey {
  readonly publicKey: Buffer;
  /** The file of its private key; undefined: the setting stays as it is. */
  readonly privateKeyFile: string | undefined;
  /** The file of its pincode; left out or undefined: the setting stays as it is. */
  readonly pincodeFile?: string | undefined;
}

/**
 * The text of a `strongroom.toml` with another master key. Only the values change: comments, order and the rest stay.
 *
 * @param file - For messages, and where its relative paths start.
 * @throws {DatabaseError} `SETTINGS_INVALID` when the text is, or is written in a way that is not changed here.
 */
export function withMasterKey(text: string, file: string, key: NewMasterKey): string {
  const { publicKey, privateKeyFile, pincodeFile } = key;
  const changes = new Map<SettingName, string>([["publicKey", formatPublicKey(publicKey)]]);
  if (privateKeyFile !== undefined) changes.set("path", privateKeyFile);
  if (pincodeFile !== undefined) changes.set("pincodeFile", pincodeFile);
  const expected = new Map([...parseSettings(text, file), ...changes]);
  let changed = text;
  for (const [name, value] of changes) changed = withValueSet(changed, fieldOf(name).name, value);
  if (sameSettings(expected, settingsOrNone(changed, file))) return changed;
  throw new DatabaseError("SETTINGS_INVALID", `${file} is written in a way that is not changed by a program`, {
    hint: `set by hand, in [security.encryption]: ${[...changes].map(([name, value]) => `${fieldOf(name).name} = ${JSON.stringify(value)}`).join(", ")}`,
  });
}

/** Changes the file itself, durably and whole, keeping its permissions. Errors as {@link withMasterKey}. */
export function changeMasterKey(file: string, key: NewMasterKey): void {
  const path = realpathSync(file);
  const changed = withMasterKey(readFileSync(path, "utf8"), file, key);
  replaceFileDurably(path, Buffer.from(changed), statSync(path).mode & 0o777);
}

const header = /^[ \t]*\[[ \t]*security[ \t]*\.[ \t]*encryption[ \t]*\][ \t]*(?:#.*)?$/;

/** Sets one value of the section, in its line, or in a new line under the section's header. */
function withValueSet(text: string, name: string, value: string): string {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => header.test(line.replace(/\r$/, "")));
  if (start < 0) return text;
  const next = lines.findIndex((line, at) => at > start && /^[ \t]*\[/.test(line));
  const end = next < 0 ? lines.length : next;
  const assignment = new RegExp(`^([ \\t]*)${name}[ \\t]*=[ \\t]*(?:"[^"\\\\]*"|'[^']*')([ \\t]*(?:#.*)?\\r?)$`);
  const written = stringify({ [name]: value }).trimEnd();
  const at = lines.findIndex((line, index) => index > start && index < end && assignment.test(line));
  const [, indent = "", tail = ""] = assignment.exec(lines[at] ?? "") ?? [];
  if (at < 0) lines.splice(start + 1, 0, written);
  else lines[at] = indent + written + tail;
  return lines.join("\n");
}

/** None when the text could not be read any more. */
function settingsOrNone(text: string, file: string): GivenSettings {
  try {
    return parseSettings(text, file);
  } catch (error) {
    if (error instanceof DatabaseError) return new Map();
    throw error;
  }
}

function sameSettings(one: GivenSettings, other: GivenSettings): boolean {
  return isDeepStrictEqual(one, other);
}
