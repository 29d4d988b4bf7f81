import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { NodeError } from "../../node/errors.ts";
import { writeNewFile } from "../../node/file-steps.ts";
import { defaultIdentityFolder } from "../../node/identity.ts";
import { type IdentityKind, type Manifest, manifestFileName, type NodeKind } from "../../node/manifest.ts";
import { newManifestText } from "../../node/manifest-writer.ts";
import { tell } from "../output.ts";
import { readSecretFile as readUnlockFile } from "../unlock-secret.ts";

export interface InitOptions {
  readonly kind: NodeKind;
  readonly network: string;
  readonly server?: readonly string[];
  readonly key?: string;
  readonly integration?: string;
  readonly store?: string;
  readonly unlockFile?: string;
  readonly dir: string;
  readonly identity: IdentityKind;
  readonly identityFolder?: string;
  readonly volume?: string;
  readonly address?: string;
  readonly sidecarPort?: number;
}

export async function runInit(name: string, argv: readonly string[], options: InitOptions): Promise<void> {
  await writeManifest(name, argv, options);
  const { integration, dir } = options;
  tell(`next: strongroom node ${integration === undefined ? `enroll ${dir}` : `seal ${dir} FILE`}`);
}

/** The manifest of a new node, and the note at its integration that the node uses it. */
export async function writeManifest(name: string, argv: readonly string[], options: InitOptions): Promise<void> {
  const folder = resolve(options.dir);
  const file = join(folder, manifestFileName);
  if (existsSync(file)) throw new NodeError("TARGET_EXISTS", `${file} exists already`);
  const { server: servers = [], key: masterKey = "" } = options;
  const kms = kmsOf(options);
  if (kms === undefined && (servers.length === 0 || masterKey === ""))
    throw new NodeError(
      "INPUT_INVALID",
      "the key manager is missing: --server URL and --key KEY, or --integration NAME",
    );
  const text = newManifestText({
    name,
    kind: options.kind,
    network: options.network,
    servers,
    masterKey,
    ...(kms === undefined ? {} : { kms }),
    identity: {
      kind: options.identity,
      folder:
        options.identityFolder ?? (kms === undefined ? defaultIdentityFolder(options.identity, name) : "identity"),
    },
    ...(options.volume === undefined ? {} : { volumeKind: options.volume }),
    ...(options.address === undefined ? {} : { address: options.address }),
    ...(options.sidecarPort === undefined ? {} : { sidecarPort: options.sidecarPort }),
    ...(argv.length === 0 ? {} : { argv }),
  });
  const store = kms === undefined ? undefined : await provenStore(kms, options.unlockFile);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeNewFile(file, Buffer.from(text));
  if (kms !== undefined) store?.noteNode(kms.integration, file);
  tell(`${file} written`);
}

/** The manifest's `[kms]`, with absolute paths: the store serves several nodes of this host. */
function kmsOf({ integration, store, unlockFile, server, key }: InitOptions): Manifest["kms"] {
  if (integration === undefined) {
    if (store === undefined && unlockFile === undefined) return undefined;
    throw new NodeError("INPUT_INVALID", "--store and --unlock-file go with --integration NAME");
  }
  if (store === undefined)
    throw new NodeError("INPUT_INVALID", "--integration needs --store: the folder that holds it");
  if (server !== undefined)
    throw new NodeError("INPUT_INVALID", "a node has one key manager: --server, or --integration");
  return {
    integration,
    store: resolve(store),
    ...(unlockFile === undefined ? {} : { unlockFile: resolve(unlockFile) }),
    ...(key === undefined ? {} : { masterKey: key }),
  };
}

/** The store, once it is known that the integration is in it and opens. */
async function provenStore(kms: NonNullable<Manifest["kms"]>, unlockFile: string | undefined) {
  const { IntegrationFolder } = await import("../../node/kms/integration-folder.ts");
  const store = new IntegrationFolder(kms.store);
  store.describe(kms.integration);
  if (unlockFile === undefined) return store;
  using unlock = readUnlockFile(unlockFile);
  (await store.open(kms.integration, unlock)).secret[Symbol.dispose]();
  return store;
}
