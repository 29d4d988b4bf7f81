import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { NodeError } from "./errors.ts";
import type { Manifest, NodeKind, SealedFileEntry } from "./manifest.ts";

/** Where a program itself looks for its keys. */
interface OwnPlaces {
  /** Matched against the whole path. */
  readonly places: readonly { readonly path: RegExp; readonly says: string }[];
  /** Options that name a folder in which the program reads every file. */
  readonly folderOptions: readonly string[];
}

const geth: OwnPlaces = {
  places: [
    { path: /\/nodekey$/, says: "geth writes a new node key over one that it cannot read" },
    { path: /\/keystore\/[^/]+$/, says: "geth reads every file of its keystore folder" },
    { path: /\/UTC--[^/]*$/, says: "that is the name of a keystore file" },
  ],
  folderOptions: ["--keystore"],
};

const enclave = { path: /\/[^/]+\.(key|pub)$/, says: "Tessera and Constellation name their keys so" };
const pemFile = { path: /\/[^/]+\.(pem|key)$/, says: "FISCO BCOS nodes name their keys so" };

/**
 * Where each kind of program looks for keys of its own. A sealed file must not lie there: geth overwrites what it cannot
 * parse, Besu makes a new key, and the node comes up as a stranger with its old key lost.
 */
export const ownPlaces: Readonly<Record<NodeKind, OwnPlaces>> = {
  geth,
  goquorum: { ...geth, places: [...geth.places, enclave] },
  besu: {
    places: [{ path: /\/key(\.pub)?$/, says: "Besu makes a new node key where it finds none of its own" }],
    folderOptions: [],
  },
  tessera: { places: [enclave], folderOptions: [] },
  ethereumjs: { places: [{ path: /\/nodekey$/, says: "that is the name of a node key" }], folderOptions: [] },
  fisco: { places: [pemFile], folderOptions: [] },
  "fisco-sm": { places: [pemFile], folderOptions: [] },
  generic: {
    places: [{ path: /\/(msp\/keystore|tls)\/[^/]+$/, says: "Hyperledger Fabric reads its keys there" }],
    folderOptions: [],
  },
};

/**
 * Refuses a manifest whose sealed files lie where the node's own program looks for a key, is pointed to by the command, or
 * cannot be reached before the volume is open. Files of handover `native` are the program's own, and may.
 *
 * @param folder - Where relative paths of the manifest start.
 * @throws {NodeError} `MANIFEST_INVALID`, with the reason.
 */
export function checkOwnPlaces(manifest: Manifest, folder: string): void {
  for (const entry of manifest.sealedFiles) {
    if (entry.handover === "native") continue;
    const reason = whyNotThere(manifest, entry, folder);
    if (reason === undefined) continue;
    throw new NodeError(
      "MANIFEST_INVALID",
      `the sealed file of ${entry.name} must not lie at ${entry.sealed}: ${reason}`,
      {
        hint: `put it elsewhere, for example at sealed/${entry.name}.sealed`,
      },
    );
  }
}

function whyNotThere(manifest: Manifest, entry: SealedFileEntry, folder: string): string | undefined {
  const sealed = realPath(resolve(folder, entry.sealed));
  const owner = manifest.sealedFiles.find(({ path }) => realPath(resolve(folder, path)) === sealed);
  if (owner !== undefined) return `the program looks for ${owner.name} there`;
  const { places, folderOptions } = ownPlaces[manifest.node.kind];
  const place = [sealed, resolve(folder, entry.sealed)].flatMap((path) =>
    places.filter((each) => each.path.test(path)),
  )[0];
  if (place !== undefined) return place.says;
  if (manifest.volume !== undefined && isWithin(sealed, realPath(resolve(folder, manifest.volume.folder))))
    return "the volume is opened after the keys";
  const values = argumentsOf(manifest, folder);
  if (values.some(({ path }) => path === sealed)) return "the command names it to the program, which cannot open it";
  const read = values.find(({ option, path }) => folderOptions.includes(option) && isWithin(sealed, path));
  return read === undefined ? undefined : `the program reads every file of the folder that ${read.option} names`;
}

/** What the command's arguments and variables name: `--option PATH`, `--option=PATH` or a path alone. */
function argumentsOf({ command }: Manifest, folder: string): { option: string; path: string }[] {
  const { argv = [], environment = {} } = command ?? {};
  const given = argv.map((text, index) => {
    const [, option, value] = /^(--?[A-Za-z][\w.-]*)=(.*)$/s.exec(text) ?? [];
    return value === undefined ? { option: argv[index - 1] ?? "", value: text } : { option: option ?? "", value };
  });
  const variables = Object.entries(environment).map(([option, value]) => ({ option, value }));
  return [...given, ...variables]
    .filter(({ value }) => value !== "" && !/\{(key|fd|data|logs|keystore)/.test(value))
    .map(({ option, value }) => ({ option, path: realPath(resolve(folder, value.replaceAll("{dir}", folder))) }));
}

/** The path without symbolic links, as far as it exists. */
function realPath(path: string): string {
  try {
    if (existsSync(path)) return realpathSync(path);
  } catch {
    return path;
  }
  const parent = dirname(path);
  return parent === path ? path : join(realPath(parent), basename(path));
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
