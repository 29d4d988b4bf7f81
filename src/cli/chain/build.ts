import { type BuiltChain, buildChain } from "../../chain/build/build.ts";
import { ChainBuildError } from "../../chain/build/errors.ts";
import {
  type ChainBuildOptions,
  type HsmOptions,
  readHosts,
  readKeyIndices,
  readName,
  readPorts,
} from "../../chain/build/options.ts";
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
  readonly server?: readonly string[];
  readonly key?: string;
  readonly tokenDir?: string;
}

/** `chain build`, and build_chain.sh, which takes the same options. */
export async function runBuild(options: BuildOptions, notOffered: Readonly<Record<string, string>>): Promise<void> {
  for (const [flags, why] of Object.entries(notOffered))
    if (flags.charAt(1) in options)
      throw new ChainBuildError("OPTION_INVALID", `${flags.slice(0, 2)} of build_chain.sh is not offered: ${why}`);
  const wanted = chainOptions(options);
  const keyManager = keyManagerOf(options);
  if (keyManager !== undefined) checkProtection(wanted, keyManager);
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
  const all = hosts.reduce((sum, { nodes }) => sum + nodes, 0);
  const hsm = hsmOptions(options, all);
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

function hsmOptions(options: BuildOptions, nodes: number): HsmOptions | undefined {
  const { keyIndex, hsmLibPath: library, hsmProfile: profile, pinFile, passwordInConfig } = options;
  if (options.H !== true) {
    const stray = { keyIndex, library, profile, pinFile, passwordInConfig };
    if (Object.values(stray).every((each) => each === undefined)) return undefined;
    throw new ChainBuildError("OPTION_INVALID", "an option for the cipher machine is given, but -H is not");
  }
  if (profile !== undefined) readName("--hsm-profile", profile);
  return {
    pinInConfig: passwordInConfig === true,
    ...(library === undefined ? {} : { library }),
    ...(profile === undefined ? {} : { profile }),
    ...(pinFile === undefined ? {} : { pinFile }),
    ...(keyIndex === undefined ? {} : { keyIndices: readKeyIndices(keyIndex, nodes) }),
  };
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
    ...nodes.map(({ host, name, nodeId, keySource, keyIndex }) => {
      const from = keySource === undefined ? "" : ` from ${keySource}`;
      return `[INFO] ${host}/${name} : ${nodeId}${from}${keyIndex === undefined ? "" : `, key index ${keyIndex}`}`;
    }),
    `[INFO] Output dir            : ${output}`,
    `[INFO] All completed. Files in ${output}`,
  ].join("\n");
}

/** What is still to be done, and what is not protected. */
function advice({ hsm, binary }: ChainBuildOptions, { output, nodes }: BuiltChain, sealed: boolean): string[] {
  const lines = [
    `${output}/ca holds the key of the chain's certificate authority: keep that folder off the nodes' machines`,
  ];
  for (const { keySourceIsPrivate, keySource } of nodes)
    if (keySourceIsPrivate)
      lines.push(
        `warning: ${keySource} holds the private key itself; once the cipher machine has it, destroy that file`,
      );
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
