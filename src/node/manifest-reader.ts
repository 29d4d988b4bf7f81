import { readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import { NodeError } from "./errors.ts";
import {
  type Handover,
  type IdentityKind,
  type Manifest,
  manifestFileName,
  type NodeKind,
  type Protection,
  type RestartPolicy,
  type SealedFileEntry,
  type VolumeKind,
} from "./manifest.ts";
import { type Field, type Fields, manifestFields, sealedFileFields } from "./manifest-fields.ts";
import { nearest } from "./nearest.ts";
import { checkOwnPlaces } from "./own-places.ts";
import { checkSubstitutions } from "./substitutions.ts";

export const maxManifestBytes = 256 * 1024;
const maxSealedFiles = 64;
const maxTextCharacters = 4096;
const maxMapEntries = 256;

/** A manifest where it lies. */
export interface LoadedManifest {
  readonly manifest: Manifest;
  readonly file: string;
  /** The manifest's folder; relative paths in it start here. */
  readonly folder: string;
  /** Resolves a path of the manifest. */
  at(path: string): string;
}

/**
 * Reads the manifest of a node.
 *
 * @param where - The manifest, or the folder that holds `node.toml`.
 * @throws {NodeError} `MANIFEST_NOT_FOUND`, `MANIFEST_INVALID` with the field's path and a suggestion.
 */
export function loadManifest(where: string): LoadedManifest {
  const given = resolve(where);
  const file = statSync(given, { throwIfNoEntry: false })?.isDirectory() ? join(given, manifestFileName) : given;
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isFile() !== true)
    throw new NodeError("MANIFEST_NOT_FOUND", `there is no node manifest at ${file}`, {
      hint: "make one with: strongroom node init NAME --kind KIND",
    });
  if (found.size > maxManifestBytes) throw invalid(`${file} has ${found.size} bytes, the most is ${maxManifestBytes}`);
  const folder = dirname(file);
  try {
    const manifest = parseManifest(readFileSync(file, "utf8"), folder);
    return { manifest, file, folder, at: (path) => resolve(folder, path) };
  } catch (error) {
    if (error instanceof NodeError) {
      const hint = error.hint === undefined ? {} : { hint: error.hint };
      throw new NodeError(error.code, `${file}: ${error.message}`, { cause: error, ...hint });
    }
    throw error;
  }
}

/**
 * Parses a manifest. Unknown tables and fields are refused.
 *
 * @param folder - Where its relative paths start.
 * @throws {NodeError} `MANIFEST_INVALID`.
 */
export function parseManifest(text: string, folder = "/"): Manifest {
  if (text.length > maxManifestBytes) throw invalid(`the manifest is over ${maxManifestBytes} characters`);
  const root = parseToml(text);
  refuseUnknown(root, [...Object.keys(manifestFields), "sealed_file"], "");
  const table = (name: keyof typeof manifestFields) => readTable(root[name], manifestFields[name], name);
  const node = table("node");
  const unprotected = node.text("protection") === "none";
  if (unprotected) refuseProtectedTables(root);
  const kms = root.kms === undefined ? undefined : table("kms");
  if (kms !== undefined) refuseSecondKeyManager(root);
  const [keyManager, identity] =
    unprotected || kms !== undefined
      ? [new Table({ servers: [], master_key: "" }), new Table({ kind: "file", folder: "identity" })]
      : [table("key_manager"), table("identity")];
  const dataKey = table("data_key");
  const [restart, lease, sidecar] = [table("restart"), table("lease"), table("sidecar")];
  const volume = root.volume === undefined ? undefined : table("volume");
  const command = root.command === undefined ? undefined : table("command");
  const manifest: Manifest = {
    node: {
      name: node.text("name"),
      kind: node.text("kind") as NodeKind,
      network: node.text("network"),
      protection: node.text("protection") as Protection,
      ...node.maybeNumber("uid", "uid"),
      ...node.maybe("address", "address"),
    },
    keyManager: {
      servers: keyManager.texts("servers"),
      ...keyManager.maybe("ca", "ca"),
      masterKey: keyManager.text("master_key"),
    },
    ...(kms && {
      kms: {
        integration: kms.text("integration"),
        store: kms.text("store"),
        ...kms.maybe("unlock_file", "unlockFile"),
        ...kms.maybe("master_key", "masterKey"),
      },
    }),
    identity: { kind: identity.text("kind") as IdentityKind, folder: identity.text("folder") },
    dataKey: {
      suite: dataKey.text("suite") as "intl" | "sm",
      wrapped: dataKey.text("wrapped"),
      ...dataKey.maybe("id", "id"),
      ...dataKey.maybeNumber("version", "version"),
      ...dataKey.maybe("check", "check"),
    },
    sealedFiles: readSealedFiles(root.sealed_file),
    ...(volume && {
      volume: {
        kind: volume.text("kind") as VolumeKind,
        folder: volume.text("folder"),
        parameters: volume.map("parameters"),
      },
    }),
    ...(command && {
      command: {
        argv: command.texts("argv"),
        folder: command.text("folder"),
        ...command.maybe("log", "log"),
        wipeSettleSeconds: command.number("wipe_settle_seconds"),
        wipeAfterSeconds: command.number("wipe_after_seconds"),
        stopSeconds: command.number("stop_seconds"),
        environment: command.map("environment"),
      },
    }),
    restart: {
      policy: restart.text("policy") as RestartPolicy,
      backoffSeconds: restart.number("backoff_seconds"),
      maxBackoffSeconds: restart.number("max_backoff_seconds"),
      afterRefusal: restart.flag("after_refusal"),
    },
    lease: { seconds: lease.number("seconds"), graceSeconds: lease.number("grace_seconds") },
    sidecar: {
      port: sidecar.number("port"),
      windowSeconds: sidecar.number("window_seconds"),
      answers: sidecar.number("answers"),
      ...sidecar.maybeNumber("uid", "uid"),
    },
  };
  checkTogether(manifest);
  checkOwnPlaces(manifest, folder);
  return manifest;
}

/** Without a key manager nothing can be sealed, so what would need one must not be there. */
function refuseProtectedTables(root: Readonly<Record<string, unknown>>): void {
  const found = ["key_manager", "kms", "identity", "data_key", "volume", "sealed_file"].find((name) => name in root);
  if (found !== undefined)
    throw invalid(
      `node.protection is "none", which leaves keys plain, but there is a [${found}]: take one of them out`,
    );
}

/** A node has one key manager: with a KMS there is none of ours, nor an identity for it. */
function refuseSecondKeyManager(root: Readonly<Record<string, unknown>>): void {
  const found = ["key_manager", "identity"].find((name) => name in root);
  if (found !== undefined)
    throw invalid(`there is a [kms] and a [${found}]: a node has one key manager, take one of them out`);
}

function readSealedFiles(value: unknown): SealedFileEntry[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw invalid("sealed_file is written [[sealed_file]], once for each file");
  if (value.length > maxSealedFiles)
    throw invalid(`there are ${value.length} sealed files, the most is ${maxSealedFiles}`);
  return value.map((entry: unknown, index) => {
    const table = readTable(entry, sealedFileFields, `sealed_file[${index}]`);
    return {
      name: table.text("name"),
      path: table.text("path"),
      sealed: table.text("sealed"),
      format: table.text("format"),
      handover: table.text("handover") as Handover,
      publicIdentity: table.text("public_identity"),
      version: table.number("version"),
      reads: table.number("reads"),
      link: table.flag("link"),
    };
  });
}

/** What no single field shows. */
function checkTogether(manifest: Manifest): void {
  const names = manifest.sealedFiles.map((file) => file.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw invalid(`two sealed files are named ${JSON.stringify(twice)}`);
  const accounts = manifest.sealedFiles
    .filter((file) => file.handover === "keystore")
    .map((file) => basename(file.path));
  const sameName = accounts.find((name, index) => accounts.indexOf(name) !== index);
  if (sameName !== undefined) throw invalid(`two keystore files are named ${JSON.stringify(sameName)}`);
  const { id, version, check } = manifest.dataKey;
  const given = [id, version, check].filter((value) => value !== undefined).length;
  if (given !== 0 && given !== 3) throw invalid("data_key.id, data_key.version and data_key.check belong together");
  for (const name of Object.keys(manifest.command?.environment ?? {}))
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || name.startsWith("STRONGROOM_"))
      throw invalid(`command.environment.${name}: not a name for the node's environment`);
  if (manifest.node.protection === "none" && manifest.lease.seconds > 0)
    throw invalid("lease.seconds: without a key manager there is no lease");
  checkSubstitutions(manifest);
}

function parseToml(text: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    // The library's message quotes the line; a manifest holds no secrets, but a mistaken file might.
    if (error instanceof TomlError)
      throw invalid(`line ${error.line}, column ${error.column}: this is not TOML`, error);
    throw invalid("this is not TOML", error);
  }
}

class Table {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  text(name: string): string {
    return String(this.#values[name]);
  }

  number(name: string): number {
    return Number(this.#values[name]);
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  texts(name: string): readonly string[] {
    return (this.#values[name] ?? []) as readonly string[];
  }

  map(name: string): Readonly<Record<string, string>> {
    return (this.#values[name] ?? {}) as Readonly<Record<string, string>>;
  }

  /** `{ [member]: value }` when the field is there, to be spread: absent fields stay absent. */
  maybe<M extends string>(name: string, member: M): Partial<Record<M, string>> {
    return this.#values[name] === undefined ? {} : ({ [member]: this.text(name) } as Record<M, string>);
  }

  maybeNumber<M extends string>(name: string, member: M): Partial<Record<M, number>> {
    return this.#values[name] === undefined ? {} : ({ [member]: this.number(name) } as Record<M, number>);
  }
}

/** Checks every field of a table and fills in defaults. */
function readTable(value: unknown, fields: Fields, where: string): Table {
  if (value !== undefined && !isTable(value)) throw invalid(`${where} is not a table`);
  const given = value ?? {};
  refuseUnknown(given, Object.keys(fields), `${where}.`);
  const read: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const found = given[name] ?? field.default;
    if (found === undefined) {
      if (field.required) throw invalid(`${where}.${name} is missing: ${field.meaning}`);
      continue;
    }
    const problem = problemOf(found, field);
    if (problem !== undefined) throw invalid(`${where}.${name}: ${problem}`);
    read[name] = found;
  }
  return new Table(read);
}

function problemOf(value: unknown, { rule }: Field): string | undefined {
  switch (rule.type) {
    case "text":
      return problemOfText(value, rule);
    case "choice": {
      if (typeof value === "string" && rule.of.includes(value)) return undefined;
      const near = typeof value === "string" ? nearest(value, rule.of) : undefined;
      return `must be one of ${rule.of.join(", ")}${near === undefined ? "" : `; did you mean ${near}?`}`;
    }
    case "number":
      if (typeof value === "number" && Number.isInteger(value) && value >= rule.from && value <= rule.to)
        return undefined;
      return `must be a whole number from ${rule.from} to ${rule.to}`;
    case "flag":
      return typeof value === "boolean" ? undefined : "must be true or false";
    case "texts": {
      if (!Array.isArray(value) || value.length < rule.from || value.length > rule.to)
        return `must be a list of ${rule.from} to ${rule.to} texts`;
      const problem = value.map((text) => problemOfText(text, { ...rule, type: "text" })).find((found) => found);
      return problem;
    }
    case "map":
      if (!isTable(value) || Object.keys(value).length > maxMapEntries)
        return `must be a table of at most ${maxMapEntries} texts`;
      return Object.values(value)
        .map((text) => problemOfText(text, { type: "text" }, true))
        .find((found) => found);
  }
}

function problemOfText(
  value: unknown,
  rule: { readonly type: "text"; readonly pattern?: RegExp; readonly says?: string },
  mayBeEmpty = false,
): string | undefined {
  if (typeof value !== "string" || (value === "" && !mayBeEmpty)) return "must be a text";
  if (value.length > maxTextCharacters) return `has over ${maxTextCharacters} characters`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(value) || !value.isWellFormed()) return "holds a control character";
  if (rule.pattern?.test(value) === false) return `must be ${rule.says ?? "of another form"}`;
  return undefined;
}

function refuseUnknown(table: Readonly<Record<string, unknown>>, known: readonly string[], prefix: string): void {
  const unknown = Object.keys(table).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const near = nearest(unknown, known);
  const where = JSON.stringify(`${prefix}${unknown}`);
  throw invalid(`there is no ${where}${near === undefined ? "" : `; did you mean ${prefix}${near}?`}`);
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function invalid(message: string, cause?: unknown): NodeError {
  return new NodeError("MANIFEST_INVALID", message, { cause });
}
