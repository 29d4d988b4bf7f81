import { type BuiltChain, buildChain } from "../../chain/build/build.ts";
import { ChainBuildError } from "../../chain/build/errors.ts";
import { readKmsNodeKeys } from "../../chain/build/kms-node-keys.ts";
import type { KmsAccess } from "../../chain/build/kms-settings.ts";
import {
  type ChainBuildOptions,
  checkKmsAlone,
  type HostNodes,
  type HsmOptions,
  readForEachNode,
  readHosts,
  readKeyIndices,
  readKmsKeyNames,
  readName,
  readPorts,
} from "../../chain/build/options.ts";
import { isSdfProfileName, sdfProfileNames } from "../../devices/sdf/profiles.ts";
import { type OutputOptions, printData, tell } from "../output.ts";
import { type ChainKeyManager, checkProtection, protectChain } from "./protect.ts";

interface BuildOptions extends OutputOptions {
  readonly l: string;
  readonly p: string;
  readonly o: string;
  readonly e?: string;
  readonly s?: true;
  readonly H?: true;
  readonly n?: string;
  readonly g: string;
  readonly I: string;
  readonly v: string;
  readonly keyIndex?: string;
  readonly hsmLibPath?: string;
  readonly hsmProfile?: string;
  readonly pinFile?: string;
  readonly passwordInConfig?: true;
  readonly kmsKeys?: string;
  readonly kmsUrl?: string;
  readonly kmsRegion?: string;
  readonly kmsAccessKeyId?: string;
  readonly kmsSecretFile?: string;
  readonly kmsCaFile?: string;
  readonly server?: readonly string[];
  readonly key?: string;
  readonly tokenDir?: string;
}

/** `chain build`, and build_chain.sh, which takes the same options. */
export async function runBuild(options: BuildOptions, notOffered: Readonly<Record<string, string>>): Promise<void> {
  for (const [flags, why] of Object.entries(notOffered))
    if (flags.charAt(1) in options)
      throw new ChainBuildError("OPTION_INVALID", `${flags.slice(0, 2)} of build_chain.sh is not offered: ${why}`);
  const withoutKms = chainOptions(options);
  const keyManager = keyManagerOf(options);
  if (keyManager !== undefined) checkProtection(withoutKms, keyManager);
  const wanted = await withKmsKeys(withoutKms, options);
  const built = buildChain(wanted);
  if (keyManager !== undefined) await protectChain(built, wanted, keyManager);
  printData(options, built, () => summary(wanted, built));
  for (const line of advice(wanted, built, keyManager !== undefined)) tell(line);
}

function keyManagerOf({ server, key, tokenDir }: BuildOptions): ChainKeyManager | undefined {
  if (server === undefined && key === undefined && tokenDir === undefined) return undefined;
  if (server === undefined || key === undefined || tokenDir === undefined)
    throw new ChainBuildError("OPTION_INVALID", "a key manager takes all three: --server, --key and --token-dir");
  return { servers: server, masterKey: key, tokens: tokenDir };
}

function chainOptions(options: BuildOptions): ChainBuildOptions {
  const hosts = readHosts(options.l);
  const hsm = hsmOptions(options, hosts);
  return {
    hosts,
    ports: readPorts(options.p, Math.max(...hosts.map(({ nodes }) => nodes))),
    sm: options.s === true,
    output: options.o,
    groupId: readName("-g", options.g),
    chainId: readName("-I", options.I),
    compatibilityVersion: readName("-v", options.v.replace(/^v/, "")),
    ...(hsm === undefined ? {} : { hsm }),
    ...(options.n === undefined ? {} : { nodeKeys: options.n }),
    ...(options.e === undefined ? {} : { binary: options.e }),
  };
}

function hsmOptions(options: BuildOptions, hosts: readonly HostNodes[]): HsmOptions | undefined {
  const { keyIndex, hsmLibPath: library, hsmProfile: profile, pinFile, passwordInConfig } = options;
  if (options.H !== true) {
    const stray = { keyIndex, library, profile, pinFile, passwordInConfig };
    if (Object.values(stray).every((each) => each === undefined)) return undefined;
    throw new ChainBuildError("OPTION_INVALID", "an option for the cipher machine is given, but -H is not");
  }
  if (profile !== undefined && !isSdfProfileName(profile))
    throw new ChainBuildError(
      "OPTION_INVALID",
      `--hsm-profile is one of ${sdfProfileNames.join(", ")}; got ${profile}`,
    );
  return {
    pinInConfig: passwordInConfig === true,
    ...(library === undefined ? {} : { library }),
    ...(profile === undefined ? {} : { profile }),
    ...(pinFile === undefined ? {} : { pinFile }),
    ...(keyIndex === undefined ? {} : { keyIndices: readKeyIndices(keyIndex, hosts) }),
  };
}

/** Asks the KMS, where one is named, for the nodes' public keys: before anything is written. */
async function withKmsKeys(wanted: ChainBuildOptions, options: BuildOptions): Promise<ChainBuildOptions> {
  const { kmsKeys: names, kmsUrl: url, kmsRegion: region, kmsAccessKeyId: accessKeyId, kmsCaFile: caFile } = options;
  const { kmsSecretFile: secretFile } = options;
  if ([names, url, region, accessKeyId, secretFile, caFile].every((each) => each === undefined)) return wanted;
  if (names === undefined || region === undefined || accessKeyId === undefined || secretFile === undefined)
    throw new ChainBuildError(
      "OPTION_INVALID",
      "a KMS takes all four: --kms-keys, --kms-region, --kms-access-key-id and --kms-secret-file",
    );
  checkKmsAlone(wanted);
  const nodes = wanted.hosts.reduce((sum, host) => sum + host.nodes, 0);
  const ids = readForEachNode("--kms-access-key-id", accessKeyId, nodes);
  const files = readForEachNode("--kms-secret-file", secretFile, nodes);
  const keys = readKmsKeyNames(names, nodes).map((name, index) => {
    const common = { region, ...(url === undefined ? {} : { url }), ...(caFile === undefined ? {} : { caFile }) };
    const access: KmsAccess = { ...common, accessKeyId: ids[index] ?? "", secretFile: files[index] ?? "" };
    return { name, access };
  });
  return { ...wanted, kms: { keys: await readKmsNodeKeys(keys, wanted.sm ? "sm2" : "secp256k1") } };
}

/** In the words of build_chain.sh, without its colours. */
function summary(options: ChainBuildOptions, { output, nodes }: BuiltChain): string {
  return [
    "==============================================================",
    `[INFO] GroupID               : ${options.groupId}`,
    `[INFO] ChainID               : ${options.chainId}`,
    `[INFO] fisco-bcos path       : ${options.binary ?? "the reference node"}`,
    `[INFO] Start port            : ${options.ports.p2p} ${options.ports.rpc}`,
    `[INFO] Server IP             : ${options.hosts.map(({ host, nodes: count }) => `${host}:${count}`).join(" ")}`,
    `[INFO] SM model              : ${options.sm}`,
    `[INFO] enable HSM            : ${options.hsm !== undefined}`,
    ...nodes.map(({ host, name, nodeId, keySource, keyIndex, kmsKey }) => {
      const source = keySource ?? kmsKey;
      const from = source === undefined ? "" : ` from ${source}`;
      return `[INFO] ${host}/${name} : ${nodeId}${from}${keyIndex === undefined ? "" : `, key index ${keyIndex}`}`;
    }),
    `[INFO] Output dir            : ${output}`,
    `[INFO] All completed. Files in ${output}`,
  ].join("\n");
}

/** What is still to be done, and what is not protected. */
function advice({ hsm, kms, binary }: ChainBuildOptions, { output, nodes }: BuiltChain, sealed: boolean): string[] {
  const lines = [
    `${output}/ca holds the key of the chain's certificate authority: keep that folder off the nodes' machines`,
  ];
  for (const { keySourceIsPrivate, keySource } of nodes)
    if (keySourceIsPrivate)
      lines.push(
        `warning: ${keySource} holds the private key itself; once the cipher machine has it, destroy that file`,
      );
  if (kms !== undefined) {
    if (!sealed)
      lines.push("the KMS's secret access key is a plain file of mode 0600, conf/kms_secret: no key manager seals it");
    return lines;
  }
  if (hsm === undefined) {
    if (!sealed) lines.push("the nodes' keys are plain files of mode 0600: --server seals them (docs/chain.md)");
    return lines;
  }
  if (hsm.keyIndices === undefined)
    lines.push("set key_index in each node's config.ini: the index of its key in the cipher machine");
  if (hsm.pinFile === undefined)
    lines.push(
      "no PIN was given: put it in conf/hsm_password (mode 0600) and set password_file, unless the key needs none",
    );
  else if (sealed) return lines;
  else if (hsm.pinInConfig) lines.push("warning: the PIN is in each config.ini in clear (mode 0600)");
  else lines.push("the PIN is a plain file of mode 0600, conf/hsm_password: no key manager was named to seal it");
  if (binary !== undefined && hsm.pinFile !== undefined && !hsm.pinInConfig)
    lines.push(
      "FISCO BCOS's program does not read password_file: seal the PIN and start the node by 'strongroom node launch' (docs/chain.md)",
    );
  return lines;
}
