import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import type { z } from "zod";
import { type AwsKmsEntry, type DeviceEntry, entrySchemas, type NativeEntry } from "./entry.ts";
import { CatalogueError } from "./errors.ts";
import { readPrivateFile } from "./safe-file.ts";

/** Name of the file in a key manager's data folder. */
export const catalogueFileName = "devices.toml";
export const maxCatalogueBytes = 64 * 1024;
export const maxDevices = 32;

/** What a `devices.toml` says. */
export interface Catalogue {
  readonly file: string;
  /** SHA-256 of the file's bytes, hex: what an administrator trusts. */
  readonly sha256: string;
  readonly entries: ReadonlyMap<string, DeviceEntry>;
  /** Resolves a path of the file, which starts at its folder. */
  at(path: string): string;
}

/**
 * Reads a `devices.toml`: a file that only its owner can change, as the libraries that it names are code that runs here.
 *
 * @throws {CatalogueError} `CATALOGUE_NOT_FOUND`, `CATALOGUE_UNSAFE`, `CATALOGUE_INVALID` with the field.
 */
export function readCatalogue(file: string): Catalogue {
  const path = resolve(file);
  if (!existsSync(path))
    throw new CatalogueError("CATALOGUE_NOT_FOUND", `there is no list of devices at ${path}`, {
      hint: "write one as docs/operations.md shows, mode 0600",
    });
  const bytes = readPrivateFile(path, maxCatalogueBytes);
  return {
    file: path,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    entries: parseCatalogue(bytes.toString("utf8"), path),
    at: (relative) => resolve(dirname(path), relative),
  };
}

/**
 * Parses the text of a `devices.toml`. Unknown tables and fields are refused.
 *
 * @param called - How messages name the file.
 * @throws {CatalogueError} `CATALOGUE_INVALID`.
 */
export function parseCatalogue(text: string, called = catalogueFileName): ReadonlyMap<string, DeviceEntry> {
  const invalid = (what: string) => new CatalogueError("CATALOGUE_INVALID", `${called}: ${what}`);
  if (text.length > maxCatalogueBytes) throw invalid(`is over ${maxCatalogueBytes} characters`);
  if (text.includes("\uFFFD")) throw invalid("is not UTF-8 text");
  const root = parseToml(text, invalid);
  const unknown = Object.keys(root).find((key) => key !== "device");
  if (unknown !== undefined) throw invalid(`unknown table or field ${JSON.stringify(unknown)}: devices are [[device]]`);
  const tables: unknown = root.device ?? [];
  if (!Array.isArray(tables)) throw invalid("devices are written [[device]], not [device]");
  if (tables.length > maxDevices) throw invalid(`names ${tables.length} devices, the most is ${maxDevices}`);
  const entries = new Map<string, DeviceEntry>();
  for (const [index, table] of tables.entries()) {
    const entry = parseEntry(table, index, invalid);
    if (entries.has(entry.name)) throw invalid(`two devices are called ${entry.name}`);
    entries.set(entry.name, entry);
  }
  for (const entry of entries.values()) checkMembers(entry, entries, invalid);
  return entries;
}

/** The entry of this name. @throws {CatalogueError} `DEVICE_UNKNOWN`. */
export function entryOf(catalogue: Pick<Catalogue, "entries" | "file">, name: string): DeviceEntry {
  const entry = catalogue.entries.get(name);
  if (entry === undefined)
    throw new CatalogueError(
      "DEVICE_UNKNOWN",
      `${catalogue.file} names no device ${JSON.stringify(name.slice(0, 80))}`,
      { hint: `it names ${[...catalogue.entries.keys()].join(", ") || "none"}` },
    );
  return entry;
}

type Invalid = (what: string) => CatalogueError;

function parseToml(text: string, invalid: Invalid): Record<string, unknown> {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    // Only the place: the line itself may hold what someone took for the place of a secret.
    throw invalid(`is not TOML: line ${cause.line}, column ${cause.column}`);
  }
}

function parseEntry(table: unknown, index: number, invalid: Invalid): DeviceEntry {
  const place = `device ${index + 1}`;
  if (typeof table !== "object" || table === null || Array.isArray(table)) throw invalid(`${place} is not a table`);
  const { kind = "members" in table ? "set" : undefined } = table as { kind?: unknown };
  if (typeof kind !== "string" || !Object.hasOwn(entrySchemas, kind))
    throw invalid(`${place}: kind is one of ${Object.keys(entrySchemas).join(", ")}`);
  const parsed: z.ZodSafeParseResult<DeviceEntry> = entrySchemas[kind as keyof typeof entrySchemas].safeParse(table);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(`${place}: ${[...(issue?.path ?? []), issue?.message].join(": ").slice(0, 300)}`);
  }
  const entry = parsed.data;
  checkTogether(entry, place, invalid);
  return entry;
}

function checkTogether(entry: DeviceEntry, place: string, invalid: Invalid): void {
  const both = (one: unknown, other: unknown) => one !== undefined && other !== undefined;
  if (entry.kind === "set") return;
  if (entry.kind === "aws-kms") {
    if ((entry.secret_file === undefined) === (entry.secret_credential === undefined))
      throw invalid(`${place}: takes secret_file or secret_credential, one of them`);
    return;
  }
  if (both(entry.pin_file, entry.pin_credential)) throw invalid(`${place}: takes pin_file or pin_credential, not both`);
  if (entry.sessions_min > entry.sessions_max) throw invalid(`${place}: sessions_min is above sessions_max`);
  if (entry.kind !== "pkcs11") return;
  if (entry.token_label === undefined && entry.token_serial === undefined && entry.slot === undefined)
    throw invalid(`${place}: takes token_label, token_serial or slot, so that the token is known`);
}

function checkMembers(entry: DeviceEntry, entries: ReadonlyMap<string, DeviceEntry>, invalid: Invalid): void {
  if (entry.kind !== "set") return;
  if (new Set(entry.members).size !== entry.members.length) throw invalid(`set ${entry.name} names a member twice`);
  const kinds = new Set(
    entry.members.map((member) => {
      const kind = entries.get(member)?.kind;
      if (kind !== "sdf" && kind !== "pkcs11")
        throw invalid(`set ${entry.name}: its member ${member} is no device of kind sdf or pkcs11 in this file`);
      return kind;
    }),
  );
  if (kinds.size > 1) throw invalid(`set ${entry.name}: its members are of different kinds`);
  const [first, ...others] = membersOf({ entries, file: "" }, entry.name).filter((member) => member.kind === "sdf");
  if (first === undefined) return;
  // What no index names is not compared: a set of cards with different keys would come about unseen.
  if (first.key_indices.length + first.kek_indices.length === 0)
    throw invalid(`set ${entry.name}: its members name no key_indices or kek_indices by which they could be compared`);
  for (const field of ["key_indices", "kek_indices"] as const)
    for (const other of others)
      if (String(first[field].toSorted()) !== String(other[field].toSorted()))
        throw invalid(`set ${entry.name}: ${first.name} and ${other.name} name different ${field}`);
}

/** What the members of a set, or the device of this name itself, are. Members are of one kind. */
export function membersOf(
  catalogue: Pick<Catalogue, "entries" | "file">,
  name: string,
): readonly (NativeEntry | AwsKmsEntry)[] {
  const entry = entryOf(catalogue, name);
  if (entry.kind !== "set") return [entry];
  return entry.members.flatMap((member) => membersOf(catalogue, member));
}

/** The kind of the keys that live in a device of this name. */
export function kindOf(catalogue: Pick<Catalogue, "entries" | "file">, name: string): "sdf" | "pkcs11" | "aws-kms" {
  const [first] = membersOf(catalogue, name);
  if (first === undefined) throw new TypeError(`set ${name} has no members`);
  return first.kind;
}
