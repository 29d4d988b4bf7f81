import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BuiltChain, BuiltNode } from "../../chain/build/build.ts";
import { pinFileName } from "../../chain/build/config-writer.ts";
import { ChainBuildError } from "../../chain/build/errors.ts";
import { kmsFileNames } from "../../chain/build/kms-node-keys.ts";
import type { ChainBuildOptions } from "../../chain/build/options.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { replaceFile } from "../../node/file-steps.ts";
import { manifestFileName, type NodeKind } from "../../node/manifest.ts";
import type { LoadedManifest } from "../../node/manifest-reader.ts";
import { type SealOptions, sealFile } from "../../node/seal.ts";
import { storageSecurityBlock } from "../../node/storage-security.ts";
import { volumeDriver } from "../../volume/drivers.ts";
import { enrolNode } from "../node/enroll.ts";
import { writeManifest } from "../node/init.ts";
import { withDataKey } from "../node/seal.ts";
import { tell } from "../output.ts";

/** The key manager that a new chain's nodes get their keys from. */
export interface ChainKeyManager {
  readonly servers: readonly string[];
  readonly masterKey: string;
  /** Folder with one file for each node, by its name at the key manager: its enrolment token. */
  readonly tokens: string;
}

const firstSidecarPort = 8150;
/** The key manager keeps the double-sign guard's counter: an older copy of the node's data folder does not start. */
const guardCounterSection = `
[strongroom]
    guard_counter=${manifestFileName}
`;

/** A node's name at the key manager. */
export function principalOf(options: Pick<ChainBuildOptions, "chainId">, node: Pick<BuiltNode, "index">): string {
  return `${options.chainId}-node${node.index}`;
}

/** Refuses, before anything is written, a folder of tokens that lacks one, and a PIN that would stay in config.ini. */
export function checkProtection(options: ChainBuildOptions, { tokens }: ChainKeyManager): void {
  if (options.hsm?.pinInConfig)
    throw new ChainBuildError(
      "OPTION_INVALID",
      "--password-in-config leaves the PIN on the disk: leave it out with --server",
    );
  const nodes = options.hosts.reduce((sum, host) => sum + host.nodes, 0);
  for (let index = 0; index < nodes; index++) {
    const file = join(tokens, principalOf(options, { index }));
    if (!existsSync(file))
      throw new ChainBuildError("OPTION_INVALID", `${file} is missing: each node needs an enrolment token`, {
        hint: `at the key manager: strongroom node token ${principalOf(options, { index })} --key KEY --out FILE`,
      });
  }
}

/**
 * Enrols every node of a chain that was just built, and seals its private keys and its PIN. From then on start.sh starts it by
 * `strongroom node launch`.
 */
export async function protectChain(chain: BuiltChain, options: ChainBuildOptions, km: ChainKeyManager): Promise<void> {
  for (const node of chain.nodes) {
    try {
      await protectNode(node, options, km);
    } catch (error) {
      tell(
        `${node.folder} is built, but its keys and those of the nodes after it are not sealed yet: they are plain files`,
      );
      throw error;
    }
    tell(`${principalOf(options, node)} is enrolled; its private keys${secretsOf(options)} are sealed`);
  }
}

function secretsOf({ hsm, kms }: ChainBuildOptions): string {
  if (kms !== undefined) return " and its KMS's secret access key";
  return hsm?.pinFile === undefined ? "" : " and its PIN";
}

async function protectNode(node: BuiltNode, options: ChainBuildOptions, km: ChainKeyManager): Promise<void> {
  const name = principalOf(options, node);
  const isReference = options.binary === undefined;
  const kind: NodeKind = isReference ? "generic" : options.sm ? "fisco-sm" : "fisco";
  const hasPinFile = options.hsm?.pinFile !== undefined && !options.hsm.pinInConfig;
  const config = !isReference && hasPinFile ? "{key:hsm-password}" : "config.ini";
  const storeKey = isReference ? ["--store-key-fd", "{fd:level}"] : [];
  await writeManifest(name, ["{dir}/../fisco-bcos", "-c", config, ...storeKey], {
    kind,
    network: options.chainId,
    server: km.servers,
    key: km.masterKey,
    dir: node.folder,
    identity: "file",
    identityFolder: "identity",
    ...(isReference ? { volume: "level" } : { sidecarPort: firstSidecarPort + node.index }),
  });
  await enrolNode(node.folder, { tokenFile: join(km.tokens, name) });
  await withDataKey(node.folder, async (loaded, key) => {
    const sealed = sealAll(loaded, key, node, isReference, hasPinFile, options.kms !== undefined);
    await makeVolume(sealed, key);
    editConfig(join(node.folder, "config.ini"), storageSecurityBlock(sealed));
    if (isReference) appendFileSync(join(node.folder, "config.ini"), guardCounterSection);
  });
}

/** Every private key in conf/: for FISCO BCOS's program in its own format, for the reference node as links into memory. */
function sealAll(
  first: LoadedManifest,
  dataKey: SecretBuffer,
  node: BuiltNode,
  isReference: boolean,
  hasPinFile: boolean,
  hasKmsSecret: boolean,
): LoadedManifest {
  let loaded = first;
  const seal = (file: string, options: SealOptions) => {
    loaded = sealFile(loaded, dataKey, join(node.folder, file), options).loaded;
  };
  const linked = { handover: "tmpfs-file", link: true } as const;
  for (const name of ["node.pem", "ssl.key", "sm_ssl.key", "sm_enssl.key"]) {
    // The reference node has no SM TLS: those keys are never handed over.
    const isLinked = isReference && !name.startsWith("sm_");
    if (holdsPrivateKey(join(node.folder, "conf", name))) seal(`conf/${name}`, isLinked ? linked : {});
  }
  if (hasPinFile && isReference) seal(pinFileName, { ...linked, name: "hsm-password", format: "opaque" });
  else if (hasPinFile)
    seal(pinFileName, { name: "hsm-password", format: "fisco-hsm-pin", handover: "tmpfs-file", link: false });
  if (hasKmsSecret) seal(kmsFileNames.secret, { ...linked, name: "kms-secret", format: "opaque" });
  return loaded;
}

async function makeVolume(loaded: LoadedManifest, dataKey: SecretBuffer): Promise<void> {
  const { volume, dataKey: named } = loaded.manifest;
  if (volume === undefined) return;
  const driver = await volumeDriver(volume.kind);
  await driver.create({ folder: loaded.at(volume.folder) }, dataKey, {
    suite: named.suite,
    parameters: volume.parameters,
  });
}

/** FISCO BCOS's program encrypts its database itself; the reference node's store lies in the volume. */
function editConfig(file: string, storageSecurity: string | undefined): void {
  const text = readFileSync(file, "utf8");
  const edited =
    storageSecurity === undefined
      ? text.replace(/^( *)data_path=data$/m, "$1data_path=volume/data")
      : text.replace(/\[storage_security\][\s\S]*?(?=\n\n\[)/, () => storageSecurity.replaceAll("\n", "\n    "));
  replaceFile(file, Buffer.from(edited));
}

function holdsPrivateKey(file: string): boolean {
  if (!existsSync(file)) return false;
  const content = readFileSync(file);
  const holds = content.includes("PRIVATE KEY");
  content.fill(0);
  return holds;
}
