import { linkSync, lstatSync, mkdirSync, readFileSync, renameSync, unlinkSync } from "node:fs";
import { basename, dirname, isAbsolute, relative, resolve } from "node:path";
import { maxBoxPlaintextBytes } from "../crypto/sealed-box.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { syncFolder } from "../files/durable-file.ts";
import { NodeError } from "./errors.ts";
import { overwriteAndRemove, readSecretFile, removeDeadTemporaries, replaceFile, writeNewFile } from "./file-steps.ts";
import { identityLine, type PublicIdentity } from "./key-formats/format.ts";
import { detectKeyFormat, keyFormatByName } from "./key-formats/table.ts";
import { type Handover, isFisco, type NodeKind, type SealedFileEntry } from "./manifest.ts";
import { type LoadedManifest, parseManifest } from "./manifest-reader.ts";
import { updateManifest, withSealedFile } from "./manifest-writer.ts";
import { encodeKeyFile, isPlainAgain, openKeyFile, opensNatively } from "./sealed-key.ts";

export interface SealOptions {
  /** @defaultValue The file's base name, without `.pem`, `.key`, `.hex`; a keystore's is `account-ADDRESS`. */
  readonly name?: string;
  /** Name of a key format. @defaultValue Detected. */
  readonly format?: string;
  /** @defaultValue `native` for PEM keys of FISCO nodes, `keystore` for accounts of geth and GoQuorum, else `fd`. */
  readonly handover?: Handover;
  readonly reads?: number;
  readonly link?: boolean;
  /** Called after each durable step; a test ends the process there. */
  readonly onStep?: (step: SealStep) => void;
}

/** The steps of a seal, in order. Killed after any of them, the same call finishes the work. */
export const sealSteps = ["written", "verified", "listed", "set-aside", "removed"] as const;
export type SealStep = (typeof sealSteps)[number];

export interface SealOutcome {
  readonly entry: SealedFileEntry;
  readonly identity: PublicIdentity;
  /** The manifest as it is now. */
  readonly loaded: LoadedManifest;
}

/** What the plain original is called between being set aside and being overwritten. */
const asideSuffix = ".strongroom-wipe";

/**
 * Seals one key file of a node. The plain original is overwritten and removed only after the sealed copy has been
 * written, synced, read back from disk and opened equal, and after the manifest names it.
 *
 * Overwriting reaches the file's blocks on a disk that writes in place; copy-on-write file systems, journals, snapshots
 * and flash keep old blocks (docs/threat-model.md).
 *
 * @throws {NodeError} `FILE_UNSAFE`, `FILE_UNUSABLE`, `KEY_FILE_INVALID`, `TARGET_EXISTS`, `SEALED_FILE_DAMAGED`,
 *   `INPUT_INVALID`.
 */
export function sealFile(
  loaded: LoadedManifest,
  dataKey: SecretBuffer,
  file: string,
  options: SealOptions = {},
): SealOutcome {
  const path = resolve(file);
  const listed = loaded.manifest.sealedFiles.find((entry) => loaded.at(entry.path) === path);
  const aside = path + asideSuffix;
  if (exists(aside)) {
    if (sameFile(aside, path)) unlinkSync(aside);
    else if (listed !== undefined) return finishRemoval(loaded, dataKey, path, listed);
    else undoReplacement(loaded, dataKey, path);
  }
  if (listed?.handover === "native" && !isPlainAgain(loaded, listed)) return describe(loaded, listed, dataKey);
  removeDeadTemporaries(path);
  using plaintext = readSecretFile(path, maxBoxPlaintextBytes).secret;
  const { entry, identity } = listed
    ? { entry: listed, identity: keyFormatByName(listed.format).readPublicIdentity(plaintext) }
    : newEntry(loaded, path, plaintext, options);
  const seal = entry.handover === "native" ? sealInPlace : sealBeside;
  return { entry, identity, loaded: seal(loaded, dataKey, path, entry, identity, plaintext, options) };
}

/** The sealed copy lies beside: written and proven first, then the original is set aside and overwritten. */
function sealBeside(
  loaded: LoadedManifest,
  dataKey: SecretBuffer,
  path: string,
  entry: SealedFileEntry,
  identity: PublicIdentity,
  plaintext: SecretBuffer,
  { onStep = () => {} }: SealOptions,
): LoadedManifest {
  const target = loaded.at(entry.sealed);
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
  removeDeadTemporaries(target);
  if (!exists(target)) writeNewFile(target, encodeKeyFile(loaded.manifest, entry, identity, dataKey, plaintext));
  onStep("written");
  proveEqual(loaded, entry, dataKey, plaintext);
  onStep("verified");
  const updated = list(loaded, entry);
  onStep("listed");
  renameSync(path, path + asideSuffix);
  syncFolder(dirname(path));
  onStep("set-aside");
  overwriteAndRemove(path + asideSuffix);
  onStep("removed");
  return updated;
}

/** The program's own encrypted format takes the original's place; a second name keeps the original until that is proven. */
function sealInPlace(
  loaded: LoadedManifest,
  dataKey: SecretBuffer,
  path: string,
  entry: SealedFileEntry,
  identity: PublicIdentity,
  plaintext: SecretBuffer,
  { onStep = () => {} }: SealOptions,
): LoadedManifest {
  const encrypted = encodeKeyFile(loaded.manifest, entry, identity, dataKey, plaintext);
  linkSync(path, path + asideSuffix);
  syncFolder(dirname(path));
  onStep("set-aside");
  replaceFile(path, encrypted);
  onStep("written");
  proveEqual(loaded, entry, dataKey, plaintext);
  onStep("verified");
  const updated = list(loaded, entry);
  onStep("listed");
  overwriteAndRemove(path + asideSuffix);
  onStep("removed");
  return updated;
}

/** After a kill between setting the original aside and removing it: the sealed copy is proven again before that. */
function finishRemoval(
  loaded: LoadedManifest,
  dataKey: SecretBuffer,
  path: string,
  listed: SealedFileEntry,
): SealOutcome {
  const aside = path + asideSuffix;
  if (listed.handover !== "native" && exists(path))
    throw new NodeError("TARGET_EXISTS", `${path} is back although it was sealed, and ${aside} waits to be wiped`, {
      hint: "move one of them away",
    });
  const outcome = describe(loaded, listed, dataKey);
  overwriteAndRemove(aside);
  return outcome;
}

/** After a kill inside {@link sealInPlace} before the manifest named the file: the plain original is whole and goes back. */
function undoReplacement(loaded: LoadedManifest, dataKey: SecretBuffer, path: string): void {
  const aside = path + asideSuffix;
  if (exists(path) && !opensNatively(loaded, path, dataKey))
    throw new NodeError("TARGET_EXISTS", `${path} and ${aside} are two files, and no seal was under way`, {
      hint: "move one of them away",
    });
  renameSync(aside, path);
  syncFolder(dirname(path));
}

function describe(loaded: LoadedManifest, entry: SealedFileEntry, dataKey: SecretBuffer): SealOutcome {
  const { plaintext, identity } = openKeyFile(loaded, entry, dataKey);
  plaintext[Symbol.dispose]();
  return { entry, identity, loaded };
}

function newEntry(
  loaded: LoadedManifest,
  path: string,
  plaintext: SecretBuffer,
  options: SealOptions,
): { entry: SealedFileEntry; identity: PublicIdentity } {
  const format = options.format === undefined ? detectKeyFormat(plaintext).format : keyFormatByName(options.format);
  const identity = format.readPublicIdentity(plaintext);
  const { kind } = loaded.manifest.node;
  const handover = options.handover ?? usualHandover(kind, format.name);
  if (handover === "native" && !isFisco(kind))
    throw new NodeError("INPUT_INVALID", `a ${kind} node has no encrypted key format of its own`, {
      hint: "use --handover fd, fifo or tmpfs-file",
    });
  const name = options.name ?? defaultName(path);
  if (loaded.manifest.sealedFiles.some((entry) => entry.name === name))
    throw new NodeError("INPUT_INVALID", `a sealed file is named ${JSON.stringify(name)} already`, {
      hint: "give this one another name with --name",
    });
  const written = inManifest(loaded, path);
  const sealed = handover === "native" ? written : `sealed/${name}.sealed`;
  const { reads = 1, link = false } = options;
  const publicIdentity = identityLine(identity);
  const entry = { name, path: written, sealed, format: format.name, handover, publicIdentity, version: 1, reads, link };
  // What the manifest could not take later must be refused before anything is written.
  parseManifest(withSealedFile(readFileSync(loaded.file, "utf8"), entry), loaded.folder);
  return { entry, identity };
}

function usualHandover(kind: NodeKind, format: string): Handover {
  if (isFisco(kind) && format === "pem") return "native";
  return (kind === "geth" || kind === "goquorum") && format === "keystore-json" ? "keystore" : "fd";
}

function defaultName(path: string): string {
  return basename(path)
    .replace(/\.(pem|key|hex)$/, "")
    .replace(/^UTC--.*--(?=[0-9a-fA-F]{40}$)/, "account-");
}

/** Reads the sealed copy back from disk, opens it and compares in constant time. */
function proveEqual(
  loaded: LoadedManifest,
  entry: SealedFileEntry,
  dataKey: SecretBuffer,
  original: SecretBuffer,
): void {
  const { plaintext } = openKeyFile(loaded, entry, dataKey);
  using copy = plaintext;
  if (!copy.equals(original))
    throw new NodeError("TARGET_EXISTS", `${loaded.at(entry.sealed)} holds another key than ${loaded.at(entry.path)}`, {
      hint: "nothing was removed; move the older of the two away",
    });
}

function list(loaded: LoadedManifest, entry: SealedFileEntry): LoadedManifest {
  if (loaded.manifest.sealedFiles.some((other) => other.name === entry.name)) return loaded;
  return updateManifest(loaded, (text) => withSealedFile(text, entry));
}

/** A path as the manifest writes it: relative when it lies under the manifest's folder. */
function inManifest(loaded: LoadedManifest, path: string): string {
  const inside = relative(loaded.folder, path);
  return inside.startsWith("..") || isAbsolute(inside) ? path : inside;
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function sameFile(left: string, right: string): boolean {
  const [one, other] = [lstatSync(left, { throwIfNoEntry: false }), lstatSync(right, { throwIfNoEntry: false })];
  return one !== undefined && other !== undefined && one.ino === other.ino && one.dev === other.dev;
}
