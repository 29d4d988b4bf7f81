import { chmodSync, existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { createKeys, createPlainKeys } from "../../node/create.ts";
import { NodeError } from "../../node/errors.ts";
import { writeNewFile } from "../../node/file-steps.ts";
import { enodeUrl } from "../../node/key-formats/ec-identity.ts";
import type { PublicIdentity } from "../../node/key-formats/format.ts";
import { identityFiles } from "../../node/key-manager.ts";
import { manifestFileName, type NodeKind, type Protection } from "../../node/manifest.ts";
import { type LoadedManifest, loadManifest } from "../../node/manifest-reader.ts";
import { newManifestText, updateManifest, withTableFields } from "../../node/manifest-writer.ts";
import { nodesOfSameUser } from "../../node/node-user.ts";
import { storageSecurityBlock } from "../../node/storage-security.ts";
import { suggestedCommand, suggestionLines } from "../../node/suggested-command.ts";
import { volumeDriver } from "../../volume/drivers.ts";
import { type OutputOptions, printData, tell } from "../output.ts";
import { enrolNode } from "./enroll.ts";
import { type InitOptions, writeManifest } from "./init.ts";
import { withDataKey } from "./seal.ts";

export interface CreateOptions extends InitOptions, OutputOptions {
  readonly protection: Protection;
  readonly tokenFile?: string;
  readonly tokenFd?: number;
  readonly lightKdf?: true;
}

interface ShownKey {
  readonly name: string;
  readonly format: string;
  readonly identity: PublicIdentity;
}

/** Makes a node with its keys: manifest, enrolment, data key, keys, volume. What is there already is left as it is. */
export async function runCreate(name: string, argv: readonly string[], options: CreateOptions): Promise<void> {
  const folder = resolve(options.dir);
  const loaded = withUid(await manifestOf(name, argv, folder, options));
  chmodSync(folder, 0o700);
  warnOfNeighbours(loaded);
  const lightKdf = options.lightKdf === true;
  if (loaded.manifest.node.protection === "none") {
    const keys = await createPlainKeys(loaded, { lightKdf });
    const file = (which: string) => keys.find((key) => key.name === which)?.file ?? which;
    show(loaded, keys, options, { key: file, keystore: loaded.at("keystore") });
    tell(`${name} is not protected: its keys are plain files, and whoever copies this disk has them`);
    return;
  }
  await enrolIfNeeded(loaded, options);
  await withDataKey(loaded.file, async (ready, dataKey) => {
    const created = await createKeys(ready, dataKey, { lightKdf, onKey: (key) => tell(`${key} is made and sealed`) });
    const { volume, dataKey: named } = created.loaded.manifest;
    if (volume !== undefined) {
      const driver = await volumeDriver(volume.kind);
      const place = { folder: created.loaded.at(volume.folder) };
      const { state } = await driver.status(place);
      if (state === "absent" || state === "incomplete")
        await driver.create(place, dataKey, { suite: named.suite, parameters: volume.parameters });
    }
    show(created.loaded, created.keys, options, {});
  });
}

/** The manifest that is there, when it is of this very node; else a new one. */
async function manifestOf(
  name: string,
  argv: readonly string[],
  folder: string,
  options: CreateOptions,
): Promise<LoadedManifest> {
  const { kind, network, protection, address } = options;
  const file = join(folder, manifestFileName);
  if (!existsSync(file)) {
    if (protection === "key-manager") await writeManifest(name, argv, options);
    else writePlainManifest(file, folder, { name, kind, network, argv, ...(address === undefined ? {} : { address }) });
  }
  const loaded = loadManifest(folder);
  const { node } = loaded.manifest;
  if (node.name === name && node.kind === kind && node.network === network && node.protection === protection)
    return loaded;
  throw new NodeError("TARGET_EXISTS", `${file} is the manifest of another node: ${node.name} (${node.kind})`);
}

function writePlainManifest(
  file: string,
  folder: string,
  { argv, ...node }: { name: string; kind: NodeKind; network: string; argv: readonly string[]; address?: string },
): void {
  const text = newManifestText({
    ...node,
    servers: [],
    masterKey: "",
    protection: "none",
    identity: { kind: "file", folder: "identity" },
    ...(argv.length === 0 ? {} : { argv }),
  });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeNewFile(file, Buffer.from(text));
}

function withUid(loaded: LoadedManifest): LoadedManifest {
  const uid = process.getuid?.();
  if (uid === undefined || loaded.manifest.node.uid !== undefined) return loaded;
  return updateManifest(loaded, (text) => withTableFields(text, "node", { uid }));
}

function warnOfNeighbours({ folder, manifest }: LoadedManifest): void {
  const { uid } = manifest.node;
  const neighbours = uid === undefined ? [] : nodesOfSameUser(folder, uid);
  if (neighbours.length === 0) return;
  tell(
    `warning: ${neighbours.join(", ")} belongs to user ${uid} too: the programs of one user can read each other's keys ` +
      "from memory; give each node a user of its own",
  );
}

/** A node with a KMS in place of a key manager has nothing to enrol with. */
async function enrolIfNeeded(loaded: LoadedManifest, options: CreateOptions): Promise<void> {
  const { kms, identity } = loaded.manifest;
  if (kms !== undefined || existsSync(join(loaded.at(identity.folder), identityFiles.privateKey))) return;
  const { tokenFile, tokenFd } = options;
  if (tokenFile === undefined && tokenFd === undefined)
    throw new NodeError("IDENTITY_MISSING", `${loaded.manifest.node.name} is not enrolled`, {
      hint: "give the token: --token-file FILE, or enroll it first and run this command again",
    });
  const { principal } = await enrolNode(loaded.file, {
    ...(tokenFile === undefined ? {} : { tokenFile }),
    ...(tokenFd === undefined ? {} : { tokenFd }),
  });
  tell(`enrolled as ${principal}`);
}

function show(
  loaded: LoadedManifest,
  keys: readonly ShownKey[],
  options: OutputOptions,
  places: { key?: (name: string) => string; keystore?: string },
): void {
  const { node, volume, command } = loaded.manifest;
  const account = keys.find((key) => key.format === "keystore-json")?.identity.address;
  const dataFolder = volume === undefined ? "{dir}/data" : "{data}";
  const facts = { dataFolder, account, ...places };
  const suggestion = command === undefined ? suggestedCommand(node.kind, facts) : undefined;
  const lines = suggestionLines(node.kind, facts);
  if (suggestion !== undefined) noteSuggestion(loaded, lines);
  const shown = keys.map(({ name, format, identity }) => ({
    name,
    format,
    ...identity,
    enode:
      format === "nodekey-hex" || format === "besu-key" ? enodeUrl(identity, node.address ?? "HOST:PORT") : undefined,
  }));
  const storageSecurity = node.protection === "none" ? undefined : storageSecurityBlock(loaded);
  printData(
    options,
    { name: node.name, folder: loaded.folder, keys: shown, suggestedCommand: suggestion, storageSecurity },
    () =>
      [
        `${node.name} (${node.kind}) of ${node.network} in ${loaded.folder}`,
        ...shown.map((key) => `${key.name}: ${publicLine(key)}`),
        ...(suggestion === undefined ? [] : ["", `for [command] in ${loaded.file}:`, ...lines]),
        ...(storageSecurity === undefined ? [] : ["", "for the node's config.ini:", storageSecurity]),
      ].join("\n"),
  );
}

function publicLine({
  enode,
  address,
  publicKey,
  nodeId,
  fingerprint,
}: PublicIdentity & { enode: string | undefined }) {
  const shown = [enode ?? nodeId, address, publicKey].filter((each) => each !== undefined);
  return shown.length > 0 ? shown.join(", ") : (fingerprint ?? "no public half");
}

/** In the manifest's comment, with this node's own account. */
function noteSuggestion(loaded: LoadedManifest, lines: readonly string[]): void {
  updateManifest(loaded, (text) =>
    text.replace(/^# argv =.*(?:\n# for .*)?$/m, () => lines.map((each) => `# ${each}`).join("\n")),
  );
}
