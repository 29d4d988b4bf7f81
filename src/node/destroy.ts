import { existsSync, lstatSync, readdirSync, realpathSync, rmdirSync, rmSync, statSync, unlinkSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { syncFolder } from "../files/durable-file.ts";
import { volumeDriver } from "../volume/drivers.ts";
import { describeUsers, usersOfFilesUnder } from "../volume/users-of-files.ts";
import { type Destruction, DestructionJournal, destroyedKeys } from "./destruction-journal.ts";
import { NodeError } from "./errors.ts";
import { overwriteAndRemove } from "./file-steps.ts";
import { connectKeyManager, identityFiles, type KeyManager, verdictOf } from "./key-manager.ts";
import { lockNode } from "./launch-lock.ts";
import { type LoadedManifest, loadManifest } from "./manifest-reader.ts";
import { keysOfKind } from "./node-keys.ts";
import { readTree } from "./tree.ts";

export interface DestroyOptions {
  /** @defaultValue A client with the node's own identity. */
  readonly keyManager?: KeyManager;
  /** Go on although no key manager can be told. @defaultValue `false` */
  readonly withoutRecord?: boolean;
  readonly tell?: (message: string) => void;
  /** Called after each durable step; a test ends the work there. */
  readonly onStep?: (step: string) => void;
}

/** The native door's client; a KMS has no such operation. */
interface DestructionRecorder {
  readonly nodes: { destroyed(input: Pick<Destruction, "network" | "keys"> & { name: string }): Promise<unknown> };
}

/** As many keys as surely fit into a context of 8,192 bytes. */
const maxKeysInContext = 24;

/**
 * Destroys a node's keys and data. First the key manager is told, which puts the public identities on record and revokes
 * the node: from then on nothing opens its data key. Then the wrapped data key, the sealed files, the identity and the
 * volume are overwritten and removed, and last the manifest. Killed at any point, the same call goes on.
 *
 * Overwriting reaches what a disk writes in place; journals, snapshots, copy-on-write file systems and flash keep old blocks.
 * Those hold ciphertext, whose data key the key manager no longer releases.
 *
 * @param where - The node's folder, or its manifest.
 * @throws {NodeError} `NODE_RUNNING`, with nothing changed; `MANIFEST_NOT_FOUND`, `FILE_UNUSABLE`; errors of the client pass
 *   through, with nothing destroyed.
 */
export async function destroyNode(where: string, options: DestroyOptions = {}): Promise<Destruction> {
  const { tell = () => {}, onStep = () => {} } = options;
  const { folder, manifest } = realPlaceOf(where);
  const journal = new DestructionJournal(folder);
  const found = journal.read();
  const loaded = found === undefined || found.record === "no" ? loadManifest(manifest) : undefined;
  using _lock = loaded === undefined ? undefined : await lockNode(loaded);
  refuseRunning(folder);
  let state = found ?? (await planOf(loaded ?? loadManifest(manifest)));
  if (loaded !== undefined) {
    journal.write(state);
    onStep("begun");
    try {
      state = { ...state, record: await putOnRecord(loaded, state, options, tell) };
    } catch (error) {
      if (found === undefined) journal.end();
      throw error;
    }
    journal.write(state);
    onStep("recorded");
  }
  for (const file of state.files) {
    destroyFile(file, tell);
    onStep(file);
  }
  if (state.volume !== null) destroyVolume(state.volume);
  onStep("volume");
  await forgetAtIntegration(state, tell);
  for (const each of [...state.folders].reverse()) removeIfEmpty(each);
  // An end behind this leaves an empty folder, which is no node.
  journal.end();
  if (!removeIfEmpty(folder))
    tell(`${folder} still holds ${readdirSync(folder).length} entries that are not Strongroom's`);
  return state;
}

/** The node's folder without links on the way, and what names its manifest there. */
function realPlaceOf(where: string): { readonly folder: string; readonly manifest: string } {
  const given = resolve(where);
  if (statSync(given, { throwIfNoEntry: false })?.isDirectory()) {
    const folder = realpathSync(given);
    return { folder, manifest: folder };
  }
  const above = dirname(given);
  const folder = existsSync(above) ? realpathSync(above) : above;
  return { folder, manifest: join(folder, basename(given)) };
}

/** What belongs to the node, in the order of its end: the data key first, the manifest last. */
async function planOf(loaded: LoadedManifest): Promise<Destruction> {
  const { manifest, at, file } = loaded;
  const { node, identity, volume, dataKey, kms } = manifest;
  const own = keysOfKind[node.kind];
  const unprotected = node.protection === "none" ? plainFilesOf(loaded) : [];
  const files = [
    ...(node.protection === "none" ? [] : [at(dataKey.wrapped)]),
    ...manifest.sealedFiles.map(({ sealed }) => at(sealed)),
    ...unprotected,
    ...own.map(({ name }) => at(`${name}.pub`)),
    ...Object.values(identityFiles).map((name) => join(at(identity.folder), name)),
    at("conversion.json"),
    file,
  ];
  const folders = [...new Set([at("sealed"), at("keys"), at("keystore"), at("conf"), at(identity.folder)])];
  return {
    node: node.name,
    network: node.network,
    keys: destroyedKeys(loaded),
    files: [...new Set(files)],
    folders,
    volume: volume === undefined ? null : await lockedVolume(at(volume.folder), volume.kind),
    ...(kms === undefined ? {} : { integration: { store: at(kms.store), name: kms.integration, manifest: file } }),
    record: "no",
  };
}

/** The plain keys that `node create` made for a node without protection. */
function plainFilesOf({ at, manifest }: LoadedManifest): string[] {
  const inFolder = (name: string) =>
    existsSync(at(name)) ? readdirSync(at(name)).map((file) => at(join(name, file))) : [];
  const conf = keysOfKind[manifest.node.kind].map((plan) => at(plan.path({ fileName: "" })));
  return [
    ...inFolder("keys"),
    ...inFolder("keystore").filter((file) => /\/UTC--[^/]+$/.test(file)),
    ...conf.filter(isFile),
  ];
}

/** Locks a volume that a dead owner left; one in use is refused. */
async function lockedVolume(folder: string, kind: Parameters<typeof volumeDriver>[0]): Promise<string> {
  const driver = await volumeDriver(kind);
  const { state, detail } = await driver.status({ folder });
  if (state === "stale") await driver.close({ folder });
  if (state === "open" || state === "busy")
    throw new NodeError("NODE_RUNNING", `the volume ${folder} is in use: ${detail}`, {
      hint: "stop the node, or: strongroom volume close",
    });
  return folder;
}

async function putOnRecord(
  loaded: LoadedManifest,
  { node: name, network, keys }: Destruction,
  options: DestroyOptions,
  tell: (message: string) => void,
): Promise<Destruction["record"]> {
  if (loaded.manifest.node.protection === "none") return "left out";
  let keyManager: KeyManager | undefined;
  try {
    keyManager = options.keyManager ?? (await connectKeyManager(loaded));
    if (isRecorder(keyManager)) await keyManager.nodes.destroyed({ name, network, keys });
    else await leaveTrace(keyManager, loaded, { network, keys });
    return "told";
  } catch (error) {
    if (verdictOf(error) === "refused") {
      tell(`the key manager refuses ${name} already, and puts nothing of it on record but that`);
      return "refused";
    }
    if (options.withoutRecord !== true) throw withHint(error);
    tell(`the key manager was not told: ${(error as Error).message}; revoke ${name} there`);
    return "left out";
  } finally {
    if (options.keyManager === undefined) keyManager?.close();
  }
}

/** In any KMS the making of a data key is on record with its context; this one is thrown away. */
async function leaveTrace(
  keyManager: KeyManager,
  { manifest }: LoadedManifest,
  { network, keys }: Pick<Destruction, "network" | "keys">,
): Promise<void> {
  const shown = keys.slice(0, maxKeysInContext).map(({ name, publicIdentity }) => [`key ${name}`, publicIdentity]);
  const context = { network, node: manifest.node.name, purpose: "node-destroyed", ...Object.fromEntries(shown) };
  await keyManager.generateDataKey({ key: manifest.keyManager.masterKey, context });
}

function isRecorder(keyManager: KeyManager): keyManager is KeyManager & DestructionRecorder {
  return "nodes" in keyManager;
}

/** Another process may have a file of the node open: its program, or a launcher that could not lock. */
function refuseRunning(folder: string): void {
  const users = usersOfFilesUnder(realpathSync(folder)).filter(({ pid }) => pid !== process.pid);
  if (users.length > 0)
    throw new NodeError("NODE_RUNNING", `${folder} is in use by ${describeUsers(users)}`, {
      hint: "stop the node first",
    });
}

/** The note that keeps an integration from being deleted. A store that is gone, or not ours to write, keeps no node alive. */
async function forgetAtIntegration({ integration }: Destruction, tell: (message: string) => void): Promise<void> {
  if (integration === undefined) return;
  const { store, name, manifest } = integration;
  try {
    const { IntegrationFolder } = await import("./kms/integration-folder.ts");
    new IntegrationFolder(store).forgetNode(name, manifest);
  } catch (error) {
    tell(`${store} still notes the node as a user of integration ${name}: ${(error as Error).message}`);
  }
}

/** A file with other names, or anything but a regular file, loses its name here and keeps its bytes. */
function destroyFile(file: string, tell: (message: string) => void): void {
  const stats = lstatSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return;
  if (stats.isFile() && stats.nlink === 1) overwriteAndRemove(file);
  else if (!stats.isDirectory()) {
    unlinkSync(file);
    tell(`${file} was removed, not overwritten: it is a link, or has other names`);
  }
}

/** What a locked `fscrypt` volume does not let be opened is only removed: its key is gone from the kernel. */
function destroyVolume(folder: string): void {
  if (!existsSync(folder)) return;
  for (const { path, kind, stats } of readTree(folder)) {
    if (kind !== "file" || stats.nlink !== 1) continue;
    try {
      overwriteAndRemove(join(folder, path));
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
    }
  }
  rmSync(folder, { recursive: true, force: true });
  syncFolder(dirname(folder));
}

function removeIfEmpty(folder: string): boolean {
  if (!existsSync(folder)) return true;
  if (readdirSync(folder).length > 0) return false;
  rmdirSync(folder);
  return true;
}

function isFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function withHint(error: unknown): unknown {
  if (verdictOf(error) !== "unreachable" && !(error instanceof NodeError && error.code === "IDENTITY_MISSING"))
    return error;
  const code = error instanceof NodeError ? error.code : "UNREACHABLE";
  return new NodeError(code, (error as Error).message, {
    cause: error,
    hint: "nothing was destroyed; --without-record goes on without an audit record, and the node is to be revoked by hand",
  });
}
