import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import { DatabaseError } from "./errors.ts";
import {
  fieldOf,
  type GivenSettings,
  located,
  type SettingField,
  type SettingName,
  settingNames,
} from "./setting-fields.ts";

export const maxSettingsBytes = 256 * 1024;
const maxTextCharacters = 4096;
const maxTexts = 16;

/**
 * Reads the text of a `strongroom.toml`.
 *
 * @throws {DatabaseError} `SETTINGS_INVALID`.
 */
export function readSettingsText(file: string): string {
  try {
    const found = statSync(file);
    if (!found.isFile()) throw invalid(file, "is not a regular file");
    if (found.size > maxSettingsBytes) throw invalid(file, `is over ${maxSettingsBytes} bytes`);
    return readFileSync(file, "utf8");
  } catch (cause) {
    if (cause instanceof DatabaseError) throw cause;
    throw invalid(file, `cannot be read: ${(cause as NodeJS.ErrnoException).code}`);
  }
}

/**
 * Parses the text of a `strongroom.toml`. Unknown tables and fields are refused; an empty text is a setting that is not given.
 *
 * @param file - For messages, and where the file's relative paths start.
 * @throws {DatabaseError} `SETTINGS_INVALID` with the field.
 */
export function parseSettings(text: string, file: string): GivenSettings {
  if (text.length > maxSettingsBytes) throw invalid(file, `is over ${maxSettingsBytes} characters`);
  if (text.includes("\uFFFD")) throw invalid(file, "is not UTF-8 text");
  const root = parseToml(text, file);
  const security = tableOf(root, "security", "security", file);
  const given = new Map<SettingName, string | readonly string[]>();
  refuseUnknown(root, ["database", "security"], "", file);
  refuseUnknown(security, ["encryption"], "security.", file);
  for (const [place, table] of [
    ["database", tableOf(root, "database", "database", file)],
    ["security.encryption", tableOf(security, "encryption", "security.encryption", file)],
  ] as const) {
    const names = settingNames.filter((name) => fieldOf(name).table === place);
    refuseUnknown(
      table,
      names.map((name) => fieldOf(name).name),
      `${place}.`,
      file,
    );
    for (const name of names) {
      const field = fieldOf(name);
      if (!Object.hasOwn(table, field.name)) continue;
      const value = valueIn(table[field.name], field, file);
      if (value !== undefined) given.set(name, value);
    }
  }
  return given;
}

function valueIn(value: unknown, field: SettingField, file: string): string | readonly string[] | undefined {
  const place = `${field.table}.${field.name}`;
  if (field.kind === "texts") {
    if (!Array.isArray(value)) throw invalid(file, `${place} is not a list of texts`);
    if (value.length > maxTexts) throw invalid(file, `${place} has ${value.length} members, the most is ${maxTexts}`);
    const texts = value.map((each) => textIn(each, place, file));
    if (texts.includes("")) throw invalid(file, `${place} has an empty member`);
    return texts.length === 0 ? undefined : texts;
  }
  const text = textIn(value, place, file);
  if (text === "") return undefined;
  return located(text, field, dirname(resolve(file)));
}

function textIn(value: unknown, place: string, file: string): string {
  if (typeof value !== "string") throw invalid(file, `${place} is not a text in quotes`);
  return plainText(value, (what) => invalid(file, `${place} ${what}`));
}

/** @throws What `refusal` makes of a text that is too long or holds control characters. */
export function plainText(text: string, refusal: (what: string) => Error): string {
  if (text.length > maxTextCharacters) throw refusal(`is over ${maxTextCharacters} characters`);
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x20 || code === 0x7f) throw refusal("holds a control character");
  }
  return text;
}

function tableOf(root: object, name: string, place: string, file: string): Readonly<Record<string, unknown>> {
  const value: unknown = Object.hasOwn(root, name) ? Object.getOwnPropertyDescriptor(root, name)?.value : {};
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Date)
    throw invalid(file, `${place} is not a table [${place}]`);
  return value as Readonly<Record<string, unknown>>;
}

function refuseUnknown(table: object, known: readonly string[], place: string, file: string): void {
  const unknown = Object.keys(table).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  throw new DatabaseError("SETTINGS_INVALID", `${file}: unknown ${JSON.stringify(place + unknown).slice(0, 120)}`, {
    hint: `known there: ${known.join(", ")}`,
  });
}

function parseToml(text: string, file: string): Readonly<Record<string, unknown>> {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    // Only the place: the line itself may hold what someone took for the place of a secret.
    throw invalid(file, `is not TOML: line ${cause.line}, column ${cause.column}`);
  }
}

function invalid(file: string, what: string): DatabaseError {
  return new DatabaseError("SETTINGS_INVALID", `${file}: ${what}`);
}
