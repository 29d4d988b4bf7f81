import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { NodeError } from "./errors.ts";
import { readSecretFile, writeNewFile } from "./file-steps.ts";
import type { GeneratedKey, PublicIdentity } from "./key-formats/format.ts";
import { keystoreFileName } from "./key-formats/keystore-json.ts";
import type { LoadedManifest } from "./manifest-reader.ts";
import { adoptNewKey, sealNewKey } from "./new-key.ts";
import { keysOfKind, type PlannedKey } from "./node-keys.ts";
import { maxSealedFileBytes, readSealedMetadata } from "./sealed-file.ts";
import { openKeyFile } from "./sealed-key.ts";
import type { OpenedKey } from "./sealed-key-opening.ts";

export interface CreateKeysOptions {
  /** @defaultValue `false` */
  readonly lightKdf?: boolean;
  /** Called after each key is sealed and named in the manifest. */
  readonly onKey?: (name: string) => void;
}

export interface CreatedKey {
  readonly name: string;
  readonly format: string;
  readonly identity: PublicIdentity;
}

export interface CreatedKeys {
  /** The manifest as it is now. */
  readonly loaded: LoadedManifest;
  readonly keys: readonly CreatedKey[];
}

/**
 * Makes every key that a new node of this kind has, in this process, and seals each under the node's data key before
 * anything of it touches a disk. Killed at any point, the same call goes on with what is missing.
 *
 * @throws {NodeError} As `sealNewKey`; `SEALED_FILE_DAMAGED`, `IDENTITY_MISMATCH` for a key that was sealed before.
 */
export async function createKeys(
  loaded: LoadedManifest,
  dataKey: SecretBuffer,
  { lightKdf = false, onKey = () => {} }: CreateKeysOptions = {},
): Promise<CreatedKeys> {
  const planned = keysOfKind[loaded.manifest.node.kind];
  let current = loaded;
  const earlier = (name: string) => opened(current, name, dataKey).plaintext;
  for (const plan of planned) {
    if (current.manifest.sealedFiles.some((entry) => entry.name === plan.name)) continue;
    current = await createKey(current, dataKey, plan, { earlier, lightKdf });
    onKey(plan.name);
  }
  const keys = planned.map(({ name, format }) => {
    const { plaintext, identity } = opened(current, name, dataKey);
    plaintext[Symbol.dispose]();
    return { name, format, identity };
  });
  for (const { name, identity } of keys) writePublicFile(current, name, identity);
  return { loaded: current, keys };
}

/**
 * The same keys as plain files (0600), for a node without protection. Files that are there are left as they are.
 *
 * @throws {NodeError} `TARGET_EXISTS` when some of the keys are there and others are not.
 */
export async function createPlainKeys(
  loaded: LoadedManifest,
  { lightKdf = false }: CreateKeysOptions = {},
): Promise<readonly (CreatedKey & { readonly file: string })[]> {
  const made: { readonly plan: PlannedKey; readonly key: GeneratedKey }[] = [];
  try {
    const earlier = (name: string) => {
      const found = made.find(({ plan }) => plan.name === name)?.key.file.clone();
      if (found === undefined) throw new NodeError("KEY_FILE_INVALID", `${name} was not made`);
      return found;
    };
    for (const plan of keysOfKind[loaded.manifest.node.kind])
      made.push({ plan, key: await plan.make({ earlier, lightKdf }) });
    const files = made.map(({ plan, key }) => ({ plan, key, file: loaded.at(plan.path(key)) }));
    const taken = files.find(({ file }) => existsSync(file));
    if (taken !== undefined) throw new NodeError("TARGET_EXISTS", `${taken.file} exists already`);
    return files.map(({ plan: { name, format }, key, file }) => {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      key.file.expose((bytes) => writeNewFile(file, bytes));
      writePublicFile(loaded, name, key.identity);
      return { name, format, identity: key.identity, file };
    });
  } finally {
    for (const { key } of made) key.file[Symbol.dispose]();
  }
}

async function createKey(
  loaded: LoadedManifest,
  dataKey: SecretBuffer,
  plan: PlannedKey,
  making: Parameters<PlannedKey["make"]>[0],
): Promise<LoadedManifest> {
  const { name, handover, format } = plan;
  const place = { name, handover, path: plan.path({ fileName: leftFileName(loaded, name) }) };
  const adopted = adoptNewKey(loaded, dataKey, place, format);
  if (adopted !== undefined) return adopted;
  const key = await plan.make(making);
  using _file = key.file;
  return sealNewKey(loaded, dataKey, { name, handover, path: plan.path(key) }, key);
}

/** The name that an account of an interrupted creation goes by: its address is what the sealed file says. */
function leftFileName(loaded: LoadedManifest, name: string): string {
  const file = loaded.at(`sealed/${name}.sealed`);
  if (!existsSync(file)) return name;
  using bytes = readSecretFile(file, maxSealedFileBytes).secret;
  const { publicIdentity, sealedAt } = bytes.expose(readSealedMetadata);
  const { address } = publicIdentity;
  return address === undefined ? name : keystoreFileName(address, new Date(sealedAt));
}

/** What programs want beside the private key: a `.pub` file. */
function writePublicFile(loaded: LoadedManifest, name: string, { publicKey }: PublicIdentity): void {
  const file = loaded.at(`${name}.pub`);
  if (publicKey !== undefined && !existsSync(file)) writeNewFile(file, Buffer.from(publicKey));
}

function opened(loaded: LoadedManifest, name: string, dataKey: SecretBuffer): OpenedKey {
  const entry = loaded.manifest.sealedFiles.find((each) => each.name === name);
  if (entry === undefined) throw new NodeError("KEY_FILE_INVALID", `${name} was not made`);
  return openKeyFile(loaded, entry, dataKey);
}
