import { resolve } from "node:path";
import type { ChainNodeConfig } from "../build/config-reader.ts";
import type { ReplicaSettings } from "../consensus/settings.ts";
import { isLoopback } from "../rpc/rpc-server.ts";
import { ChainNodeError } from "./errors.ts";

/** What the reference node takes of `[strongroom]`, and what it makes of FISCO BCOS's settings. */
export interface NodeSettings {
  /** Between two heartbeat lines. @defaultValue `10` */
  readonly heartbeatSeconds: number;
  /** How long a vote's signature may take. @defaultValue `10_000` */
  readonly signDeadlineMs: number;
  /** Absolute path of the manifest whose key manager keeps the guard's counter. */
  readonly guardCounter?: string;
  /** Told so in as many words: a guard that has had a counter goes on without it. */
  readonly withoutCounter: boolean;
  readonly replica: Partial<ReplicaSettings>;
}

const noCounter = "none";
const names: readonly string[] = ["heartbeat_seconds", "sign_deadline_ms", "guard_counter"];

/**
 * Checks what config.ini asks for and this node can't do, before anything is opened.
 *
 * @throws {ChainNodeError} `CONFIG_UNUSABLE`.
 */
export function nodeSettings(config: ChainNodeConfig): NodeSettings {
  const { genesis, rpc, strongroom, consensus } = config;
  if (!isLoopback(rpc.listenIp))
    throw unusable(`rpc.listen_ip is ${rpc.listenIp}: the RPC has no access control and listens on loopback only`);
  if (genesis.leaderPeriod !== 1) throw unusable("consensus.leader_period is 1 here: each block has the next proposer");
  if (genesis.sealers.some(({ weight }) => weight !== 1)) throw unusable("all nodes have weight 1 here");
  for (const name of Object.keys(strongroom))
    if (!names.includes(name)) throw unusable(`strongroom.${name} is not a setting: they are ${names.join(", ")}`);
  const { guard_counter: manifest } = strongroom;
  if (manifest === "")
    throw unusable(
      `strongroom.guard_counter takes the path of the node's manifest, node.toml, or ${noCounter} for a node that gives its counter up`,
    );
  return {
    heartbeatSeconds: whole(strongroom, "heartbeat_seconds", 10, 1, 3600),
    signDeadlineMs: whole(strongroom, "sign_deadline_ms", 10_000, 100, 600_000),
    ...(manifest === undefined || manifest === noCounter ? {} : { guardCounter: resolve(config.folder, manifest) }),
    withoutCounter: manifest === noCounter,
    replica: {
      blockTimeMs: consensus.minSealTimeMs,
      // The first view lasts at least until a block is due, and the genesis's time after it.
      viewTimeoutMs: consensus.minSealTimeMs + genesis.consensusTimeoutMs,
      blockTransactions: Math.min(genesis.blockTransactionLimit, 2000),
    },
  };
}

function whole(
  given: Readonly<Record<string, string>>,
  name: string,
  whenAbsent: number,
  least: number,
  most: number,
): number {
  const text = given[name];
  if (text === undefined) return whenAbsent;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) throw unusable(`strongroom.${name} takes ${least} to ${most}`);
  return value;
}

function unusable(message: string): ChainNodeError {
  return new ChainNodeError("CONFIG_UNUSABLE", message);
}
