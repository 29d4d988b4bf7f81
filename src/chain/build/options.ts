import { isIP } from "node:net";
import { maxSealers as maxReferenceNodes } from "../ledger/genesis.ts";
import { ChainBuildError } from "./errors.ts";
import { maxSealers } from "./genesis-reader.ts";
import type { KmsNodeKey } from "./kms-node-keys.ts";

/** The nodes of one host: `-l 127.0.0.1:4`. */
export interface HostNodes {
  readonly host: string;
  readonly nodes: number;
}

/** The first node's ports; the others of a host follow: `-p 30300,20200`. */
export interface StartPorts {
  readonly p2p: number;
  readonly rpc: number;
}

/** What a chain is built from. Paths may be relative to the working directory. */
export interface ChainBuildOptions {
  readonly hosts: readonly HostNodes[];
  readonly ports: StartPorts;
  /** SM2 and SM3 in place of secp256k1 and Keccak-256. */
  readonly sm: boolean;
  readonly hsm?: HsmOptions;
  readonly kms?: KmsOptions;
  /** Folder with one PEM key for each node; none: keys are made. */
  readonly nodeKeys?: string;
  readonly output: string;
  /** FISCO BCOS's own program; none: the reference node. */
  readonly binary?: string;
  readonly groupId: string;
  readonly chainId: string;
  readonly compatibilityVersion: string;
}

export interface HsmOptions {
  readonly library?: string;
  readonly profile?: string;
  /** One index for each node, in the order of the nodes; none: config.ini is to be completed by hand. */
  readonly keyIndices?: readonly number[];
  /** File with the PIN, private. */
  readonly pinFile?: string;
  /** Write the PIN into config.ini, in clear. */
  readonly pinInConfig: boolean;
}

/** The nodes' keys sign inside a KMS. */
export interface KmsOptions {
  /** As the KMS showed them, in the order of the nodes. */
  readonly keys: readonly KmsNodeKey[];
}

/**
 * Reads `-l`: `HOST:NODES` joined with commas.
 *
 * @throws {ChainBuildError} `OPTION_INVALID`.
 */
export function readHosts(text: string): HostNodes[] {
  const hosts = text.split(",").map((part): HostNodes => {
    const [, host = "", nodes = ""] = /^(.{1,253}?):(\d{1,3})$/.exec(part.trim()) ?? [];
    // Four groups of digits that are no address are a mistyped one, not a name.
    const isName = /^(?=.*[A-Za-z])[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(host);
    if ((isIP(host) !== 4 && !isName) || Number(nodes) < 1)
      throw invalid(`-l takes HOST:NODES, as in 127.0.0.1:4, joined with commas; got ${part}`);
    return { host, nodes: Number(nodes) };
  });
  // Each host has a folder of its name, and `ca` is the authority's, whose key no host may get.
  if (hosts.some(({ host }) => host.toLowerCase() === "ca"))
    throw invalid("-l cannot name a host ca: that folder holds the authority's key; use its address or its full name");
  const twice = hosts.find(({ host }, index) => hosts.findIndex((each) => each.host === host) !== index);
  if (twice !== undefined) throw invalid(`-l names ${twice.host} twice; add its nodes up`);
  const all = hosts.reduce((sum, { nodes }) => sum + nodes, 0);
  if (all > maxSealers) throw invalid(`-l asks for ${all} nodes, the most is ${maxSealers}`);
  return hosts;
}

/**
 * Reads `-p`: the first P2P port and the first RPC port.
 *
 * @param mostNodes - Nodes of the largest host: their ports must fit and not meet.
 * @throws {ChainBuildError} `OPTION_INVALID`.
 */
export function readPorts(text: string, mostNodes: number): StartPorts {
  const [, first, second] = /^(\d{1,5}),(\d{1,5})$/.exec(text) ?? [];
  const [p2p, rpc] = [Number(first), Number(second)];
  if (!(p2p >= 1 && rpc >= 1)) throw invalid(`-p takes P2P,RPC, as in 30300,20200; got ${text}`);
  if (Math.max(p2p, rpc) + mostNodes - 1 > 65_535)
    throw invalid(`-p ${text} with ${mostNodes} nodes goes past port 65535`);
  if (Math.abs(p2p - rpc) < mostNodes)
    throw invalid(`-p ${text}: the P2P and RPC ports of ${mostNodes} nodes meet; begin further apart`);
  return { p2p, rpc };
}

/** Reads `--key-index`: one index for each node. Another host has another machine, so only there an index comes again. */
export function readKeyIndices(text: string, hosts: readonly HostNodes[]): number[] {
  const nodes = hosts.reduce((sum, host) => sum + host.nodes, 0);
  const indices = text.split(",").map((part) => (/^[1-9]\d{0,9}$/.test(part) ? Number(part) : Number.NaN));
  if (indices.some((index) => !(index <= 0xffff_ffff)))
    throw invalid(`--key-index takes whole numbers from 1, joined with commas, as in 43,44,45,46; got ${text}`);
  if (indices.length !== nodes)
    throw invalid(
      `--key-index names ${indices.length} keys for ${nodes} nodes: one for each, in the order of the nodes`,
    );
  let first = 0;
  for (const { host, nodes: count } of hosts) {
    const own = indices.slice(first, first + count);
    const twice = own.find((index, at) => own.indexOf(index) !== at);
    if (twice !== undefined)
      throw invalid(`--key-index gives index ${twice} to two nodes of ${host}: each node has a key of its own`);
    first += count;
  }
  return indices;
}

/** Reads `--kms-keys`: the name of one key for each node. */
export function readKmsKeyNames(text: string, nodes: number): string[] {
  const names = listed(text);
  if (names.length !== nodes)
    throw invalid(`--kms-keys names ${names.length} keys for ${nodes} nodes: one for each, in the order of the nodes`);
  return names;
}

/** Reads an option that takes one value for all nodes, or one for each; gives one for each. */
export function readForEachNode(option: string, text: string, nodes: number): string[] {
  const values = listed(text);
  const [first] = values;
  if (values.length === 1 && first !== undefined) return Array.from({ length: nodes }, () => first);
  if (values.length !== nodes)
    throw invalid(`${option} has ${values.length} values for ${nodes} nodes: one for all, or one for each, in order`);
  return values;
}

function listed(text: string): string[] {
  return text.split(",").map((part) => part.trim());
}

/** Group and chain ids, versions: what goes into files as it is. */
export function readName(option: string, text: string): string {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(text))
    throw invalid(`${option} takes 1 to 64 letters, digits, dots, underscores and hyphens`);
  return text;
}

/** Refuses a KMS beside another place of the nodes' keys. */
export function checkKmsAlone({ hsm, nodeKeys, binary }: Pick<ChainBuildOptions, "hsm" | "nodeKeys" | "binary">): void {
  if (hsm !== undefined) throw invalid("-H and --kms-keys exclude each other: the nodes' keys are in one place");
  if (nodeKeys !== undefined)
    throw invalid("-n and --kms-keys exclude each other: the KMS itself shows the public keys");
  if (binary !== undefined)
    throw invalid("-e and --kms-keys exclude each other: FISCO BCOS's program cannot sign with a key in a KMS");
}

/** Refuses options that do not go together, before anything is written. */
export function checkOptions({ hsm, kms, sm, nodeKeys, hosts, ports, binary }: ChainBuildOptions): void {
  if (kms !== undefined)
    checkKmsAlone({ ...(hsm && { hsm }), ...(nodeKeys && { nodeKeys }), ...(binary && { binary }) });
  const all = hosts.reduce((sum, { nodes }) => sum + nodes, 0);
  if (binary === undefined && all > maxReferenceNodes)
    throw invalid(
      `-l asks for ${all} nodes: a chain of the reference node has at most ${maxReferenceNodes}; -e names another program`,
    );
  if (hsm !== undefined && !sm) throw invalid("-H needs -s: keys in a cipher machine are SM2 keys");
  if (hsm !== undefined && nodeKeys === undefined)
    throw invalid("-H needs -n: a folder with the public key of each node's key in the cipher machine");
  if (hsm?.pinInConfig && hsm.pinFile === undefined)
    throw invalid("--password-in-config needs --pin-file: the PIN is read from there");
  if (hsm?.library !== undefined && (/[\p{Cc}]/u.test(hsm.library) || !/^(?:\/|[^/]+$)/.test(hsm.library)))
    throw invalid("--hsm-lib-path takes an absolute path, or a bare name for the loader's path");
  readPorts(`${ports.p2p},${ports.rpc}`, Math.max(...hosts.map(({ nodes }) => nodes)));
}

function invalid(message: string): ChainBuildError {
  return new ChainBuildError("OPTION_INVALID", message);
}
