import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { parse, stringify } from "smol-toml";
import { writeDurably } from "../files/durable-file.ts";
import { NodeError } from "./errors.ts";
import { isFisco, type Manifest, type NodeKind, type Protection, type SealedFileEntry } from "./manifest.ts";
import { type Fields, manifestFields, sealedFileFields } from "./manifest-fields.ts";
import { type LoadedManifest, loadManifest, parseManifest } from "./manifest-reader.ts";
import { suggestionLines } from "./suggested-command.ts";

type Value = string | number | boolean | readonly string[];
type Values = Readonly<Record<string, Value | undefined>>;

/** What `node init` asks for. */
export interface NewManifest {
  readonly name: string;
  readonly kind: NodeKind;
  readonly network: string;
  readonly servers: readonly string[];
  readonly masterKey: string;
  /** @defaultValue `key-manager`; with `none`, servers, master key and identity are not written. */
  readonly protection?: Protection;
  /** In place of servers, master key and identity, which are not written then. */
  readonly kms?: Manifest["kms"];
  readonly uid?: number;
  readonly identity: { readonly kind: "file" | "tmpfs"; readonly folder: string };
  readonly address?: string;
  readonly volumeKind?: string;
  readonly argv?: readonly string[];
  readonly sidecarPort?: number;
}

/** The text of a new manifest: every table and field with its meaning; those without a value stand as comments. */
export function newManifestText(given: NewManifest): string {
  const plain = given.protection === "none";
  const native = !plain && given.kms === undefined;
  const { name, kind, network, protection, uid, address } = given;
  const values: Readonly<Record<string, Values | undefined>> = {
    node: { name, kind, network, protection, uid, address },
    key_manager: !native ? undefined : { servers: given.servers, master_key: given.masterKey },
    identity: !native ? undefined : { kind: given.identity.kind, folder: given.identity.folder },
    kms: given.kms && {
      integration: given.kms.integration,
      store: given.kms.store,
      unlock_file: given.kms.unlockFile,
      master_key: given.kms.masterKey,
    },
    data_key: plain ? undefined : { suite: given.kind === "fisco-sm" ? "sm" : "intl" },
    volume: given.volumeKind === undefined ? undefined : { kind: given.volumeKind },
    command: given.argv === undefined ? undefined : { argv: given.argv },
    restart: {},
    lease: {},
    sidecar: { port: isFisco(given.kind) ? (given.sidecarPort ?? 8150) : undefined },
  };
  const parts = [
    `# Node manifest of Strongroom (docs/nodes.md). Paths start at this file's folder. No secrets belong here.`,
  ];
  for (const [table, fields] of Object.entries(manifestFields)) parts.push(tableText(table, fields, values[table]));
  parts.push(`# Each file sealed by 'strongroom node seal' adds a [[sealed_file]] below.`);
  const dataFolder = given.volumeKind === undefined ? "{dir}/data" : "{data}";
  const suggestion = given.argv === undefined ? suggestionLines(given.kind, { dataFolder }) : [];
  const whole = `${parts.join("\n\n")}\n`;
  const text =
    suggestion.length === 0
      ? whole
      : whole.replace(/^# argv =$/m, () => suggestion.map((each) => `# ${each}`).join("\n"));
  parseManifest(text);
  return text;
}

/** Adds a `[[sealed_file]]` at the end. */
export function withSealedFile(text: string, entry: SealedFileEntry): string {
  const values: Values = {
    name: entry.name,
    path: entry.path,
    sealed: entry.sealed,
    format: entry.format,
    handover: entry.handover,
    public_identity: entry.publicIdentity,
    ...(entry.version === sealedFileFields.version.default ? {} : { version: entry.version }),
    ...(entry.reads === sealedFileFields.reads.default ? {} : { reads: entry.reads }),
    ...(entry.link === sealedFileFields.link.default ? {} : { link: entry.link }),
  };
  const lines = Object.entries(values).map(([name, value]) => line(name, value as Value));
  const edited = `${text.replace(/\n*$/, "\n")}\n[[sealed_file]]\n${lines.join("\n")}\n`;
  return verified(text, edited, (root) => {
    root.sealed_file = [...((root.sealed_file as unknown[] | undefined) ?? []), values];
  });
}

/** Takes the `[[sealed_file]]` of that name out. */
export function withoutSealedFile(text: string, name: string): string {
  const lines = text.split("\n");
  const start = lines.findIndex(
    (_, at) => isHeader(lines[at], "[[sealed_file]]") && blockOf(lines, at).some((row) => isField(row, "name", name)),
  );
  if (start === -1) throw new NodeError("INPUT_INVALID", `there is no sealed file ${JSON.stringify(name)}`);
  const edited = [...lines.slice(0, start), ...lines.slice(start + blockOf(lines, start).length)].join("\n");
  return verified(text, edited.replace(/\n*$/, "\n"), (root) => {
    const kept = (root.sealed_file as { name: string }[]).filter((entry) => entry.name !== name);
    if (kept.length === 0) delete root.sealed_file;
    else root.sealed_file = kept;
  });
}

/** Puts another entry in the place of the one of the same name. */
export function withReplacedSealedFile(text: string, entry: SealedFileEntry): string {
  return withSealedFile(withoutSealedFile(text, entry.name), entry);
}

/** Sets fields of a table that is there. */
export function withTableFields(text: string, table: string, fields: Readonly<Record<string, Value>>): string {
  const lines = text.split("\n");
  const start = lines.findIndex((row) => isHeader(row, `[${table}]`));
  if (start === -1) throw new NodeError("MANIFEST_INVALID", `there is no table [${table}]`);
  const rest = blockOf(lines, start)
    .slice(1)
    .filter((row) => !Object.keys(fields).some((name) => new RegExp(`^\\s*${name}\\s*=`).test(row)));
  const set = Object.entries(fields).map(([name, value]) => line(name, value));
  const edited = [
    ...lines.slice(0, start + 1),
    ...set,
    ...rest,
    ...lines.slice(start + blockOf(lines, start).length),
  ].join("\n");
  return verified(text, edited, (root) => Object.assign(root[table] as object, fields));
}

/** Edits a manifest on disk, durably, and reads it again. */
export function updateManifest(loaded: LoadedManifest, edit: (text: string) => string): LoadedManifest {
  const edited = edit(readFileSync(loaded.file, "utf8"));
  parseManifest(edited, loaded.folder);
  writeDurably(loaded.file, Buffer.from(edited));
  return loadManifest(loaded.file);
}

function tableText(name: string, fields: Fields, values: Values | undefined): string {
  const off = values === undefined;
  const lines = Object.entries(fields).flatMap(([field, { meaning, rule, default: usual }]) => {
    const value = values?.[field];
    const shown = value ?? usual;
    const choices = rule.type === "choice" ? ` (${rule.of.join(" | ")})` : "";
    const note = `# ${meaning}${choices}`;
    if (value !== undefined) return [note, line(field, value)];
    return [note, `# ${shown === undefined ? `${field} =` : line(field, shown)}`];
  });
  return [`${off ? "# " : ""}[${name}]`, ...lines].join("\n");
}

function line(name: string, value: Value): string {
  return stringify({ [name]: value }).trimEnd();
}

function isHeader(row: string | undefined, header: string): boolean {
  return row !== undefined && (row.trim() === header || row.trim().startsWith(`${header} #`));
}

function isField(row: string, name: string, value: string): boolean {
  return new RegExp(`^\\s*${name}\\s*=`).test(row) && row.includes(JSON.stringify(value));
}

/** The lines of a table: its header and what follows up to the next header. */
function blockOf(lines: readonly string[], start: number): readonly string[] {
  const next = lines.findIndex((row, at) => at > start && /^\s*\[/.test(row));
  return lines.slice(start, next === -1 ? lines.length : next);
}

/**
 * Lines are edited, not values, so that comments stay; unusual text (a header inside a multi-line string) could mislead
 * that, so the outcome is compared with the same change made to the parsed manifest.
 */
function verified(before: string, after: string, change: (root: Record<string, unknown>) => void): string {
  const expected = parse(before) as Record<string, unknown>;
  change(expected);
  if (isDeepStrictEqual(plain(parse(after)), plain(expected))) return after;
  throw new NodeError("MANIFEST_INVALID", "the manifest is laid out in a way that cannot be edited automatically", {
    hint: "write each table header on a line of its own, and each field on one line",
  });
}

function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, member: unknown) => (typeof member === "bigint" ? Number(member) : member)),
  );
}
