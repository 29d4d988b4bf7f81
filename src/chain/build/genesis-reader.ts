import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { publicKeyOfNodeId } from "../../crypto/curve.ts";
import { ConfigSections, type KnownKeys } from "./config-section.ts";
import { ChainBuildError } from "./errors.ts";
import { parseIni } from "./ini.ts";

/** What all nodes of a chain must agree on: config.genesis. */
export interface ChainGenesis {
  /** True: SM2 and SM3. False: secp256k1 and Keccak-256. */
  readonly smCrypto: boolean;
  readonly groupId: string;
  readonly chainId: string;
  readonly blockTransactionLimit: number;
  /** How long a view may last. */
  readonly consensusTimeoutMs: number;
  /** How many blocks one leader proposes in a row. */
  readonly leaderPeriod: number;
  /** In the order `node.0`, `node.1`, …: the order of proposers. */
  readonly sealers: readonly GenesisSealer[];
  readonly compatibilityVersion: string;
  /** SHA-256 of the file: nodes with another one are of another chain. */
  readonly fileSha256: Buffer;
}

export interface GenesisSealer {
  /** `X ‖ Y` of the node's public key, 128 lower-case hexadecimal characters. */
  readonly nodeId: string;
  readonly weight: number;
}

export const maxSealers = 100;
const name = /^[A-Za-z0-9._-]{1,64}$/;

const known: Readonly<Record<string, KnownKeys>> = {
  chain: { used: ["sm_crypto", "group_id", "chain_id"], unused: [] },
  consensus: {
    used: ["consensus_type", "block_tx_count_limit", "consensus_timeout", "leader_period", "node.N"],
    unused: [],
  },
  version: { used: ["compatibility_version"], unused: [] },
  tx: { used: [], unused: "any" },
  executor: { used: [], unused: "any" },
  web3: { used: [], unused: "any" },
  features: { used: [], unused: "any" },
};

/**
 * Reads config.genesis strictly: `node.0` … without gaps, every id once and a point of the chain's curve.
 *
 * @throws {ChainBuildError} `CONFIG_INVALID`, `FILE_UNUSABLE`.
 */
export function readGenesis(file: string): ChainGenesis {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw new ChainBuildError("FILE_UNUSABLE", `${file} cannot be read`, { cause });
  }
  const sections = new ConfigSections(parseIni(bytes, basename(file)), basename(file), known);
  const smCrypto = sections.flag("chain.sm_crypto", false);
  if ((sections.text("consensus.consensus_type") ?? "pbft") !== "pbft")
    throw sections.refuse("consensus.consensus_type", "takes pbft");
  const named = (path: string, whenAbsent: string) => {
    const text = sections.text(path) ?? whenAbsent;
    if (!name.test(text)) throw sections.refuse(path, "takes 1 to 64 letters, digits, dots, underscores and hyphens");
    return text;
  };
  return {
    smCrypto,
    groupId: named("chain.group_id", "group0"),
    chainId: named("chain.chain_id", "chain0"),
    blockTransactionLimit: sections.number("consensus.block_tx_count_limit", 1, 100_000, 1000),
    consensusTimeoutMs: sections.number("consensus.consensus_timeout", 100, 3_600_000, 3000),
    leaderPeriod: sections.number("consensus.leader_period", 1, 1_000_000, 1),
    sealers: sealersOf(sections, smCrypto),
    compatibilityVersion: named("version.compatibility_version", "3.0.0"),
    fileSha256: createHash("sha256").update(bytes).digest(),
  };
}

function sealersOf(sections: ConfigSections, smCrypto: boolean): GenesisSealer[] {
  const entries = sections.numbered("consensus", "node");
  const seen = new Set<string>();
  if (entries.length === 0 || entries.length > maxSealers)
    throw sections.refuse("consensus.node.0", `…: a chain has 1 to ${maxSealers} nodes, here are ${entries.length}`);
  return entries.map((_, index) => {
    const path = `consensus.node.${index}`;
    const [, id, weight] = /^([0-9a-fA-F]{128})\s*:\s*(\d{1,6})$/.exec(sections.required(path)) ?? [];
    if (id === undefined || Number(weight) < 1)
      throw sections.refuse(path, "takes NODEID:WEIGHT, 128 hexadecimal characters and a whole number from 1");
    const nodeId = id.toLowerCase();
    if (seen.has(nodeId)) throw sections.refuse(path, "is the id of another node of this list");
    seen.add(nodeId);
    try {
      publicKeyOfNodeId(smCrypto ? "sm2" : "secp256k1", nodeId);
    } catch {
      throw sections.refuse(path, `is not a public key on ${smCrypto ? "SM2" : "secp256k1"}`);
    }
    return { nodeId, weight: Number(weight) };
  });
}
