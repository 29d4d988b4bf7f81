import { lstatSync, readFileSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { syncFolder, writeDurably } from "../files/durable-file.ts";
import { NodeError } from "./errors.ts";
import type { LoadedManifest } from "./manifest-reader.ts";

/** A node's destruction that is under way: all that is needed to go on once the manifest is gone. Public facts only. */
export interface Destruction {
  readonly node: string;
  readonly network: string;
  readonly keys: readonly DestroyedKey[];
  /** Files to overwrite, in this order: the wrapped data key is first. Absolute paths. */
  readonly files: readonly string[];
  /** Folders that are removed when they are empty. */
  readonly folders: readonly string[];
  readonly volume: string | null;
  /** Where a node under a KMS is noted as a user of its integration. Journals of earlier versions have none. */
  readonly integration?: { readonly store: string; readonly name: string; readonly manifest: string };
  /** Whether the key manager has it on record: `no` until it was told, `told`, `refused` (it no longer knows the node), `left out`. */
  readonly record: "no" | "told" | "refused" | "left out";
}

export interface DestroyedKey {
  readonly name: string;
  readonly format: string;
  readonly publicIdentity: string;
}

const fileName = "destruction.json";
const maxBytes = 1024 * 1024;

/** The journal beside a node's manifest. */
export class DestructionJournal {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get file(): string {
    return join(this.#folder, fileName);
  }

  /** @throws {NodeError} `FILE_UNUSABLE` when it is not one of ours. */
  read(): Destruction | undefined {
    const stats = lstatSync(this.file, { throwIfNoEntry: false });
    if (stats === undefined) return undefined;
    const found = stats.isFile() && stats.size <= maxBytes ? parse(readFileSync(this.file, "utf8")) : undefined;
    if (found !== undefined) return found;
    throw new NodeError("FILE_UNUSABLE", `${this.file} is not the journal of a destruction`, {
      hint: "move it away if it is not Strongroom's",
    });
  }

  write(destruction: Destruction): void {
    writeDurably(this.file, Buffer.from(`${JSON.stringify(destruction, null, 2)}\n`));
  }

  end(): void {
    unlinkSync(this.file);
    syncFolder(this.#folder);
  }
}

/** What the manifest's sealed files are, for the record. */
export function destroyedKeys({ manifest }: LoadedManifest): DestroyedKey[] {
  return manifest.sealedFiles.map(({ name, format, publicIdentity }) => ({ name, format, publicIdentity }));
}

function parse(text: string): Destruction | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { node, network, keys, files, folders, volume, integration, record } = value as Record<string, unknown>;
  const texts = [node, network, record].every((each) => typeof each === "string");
  const lists = isTexts(files) && isTexts(folders) && Array.isArray(keys) && keys.every(isKey);
  const rest = (volume === null || typeof volume === "string") && (integration === undefined || isNote(integration));
  return texts && lists && rest ? (value as Destruction) : undefined;
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function isKey(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { name, format, publicIdentity } = value as Record<string, unknown>;
  return [name, format, publicIdentity].every((each) => typeof each === "string");
}

function isNote(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { store, name, manifest } = value as Record<string, unknown>;
  return [store, name, manifest].every((each) => typeof each === "string");
}
