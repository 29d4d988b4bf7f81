import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { chainOfCard } from "../../test/process/chain/node/card-chain.ts";
import { LocalChain, type LocalNode } from "../../test/process/chain/node/local-chain.ts";
import type { TestCard } from "../../test/sdf-card/build.ts";
import { type ProcessUsage, usageOf } from "../aws-door/process-usage.ts";

export const heartbeatSeconds = 10;
export const cardPin = "12345678";
const stopMs = 15_000;

/**
 * Four nodes' folders as build_chain.sh makes them, with the heartbeat and block time that it writes.
 *
 * @param card - Holds the nodes' SM2 keys; without it they are soft keys on secp256k1.
 * @param keyFolder - A new folder for the keys until the card has them.
 */
export async function buildChain(card: TestCard | undefined, keyFolder: string): Promise<LocalChain> {
  const chain = card === undefined ? await LocalChain.build() : await chainOfCard(card, cardPin, keyFolder);
  for (const index of chain.nodes.keys())
    chain.configure(index, /heartbeat_seconds=\d+/, `heartbeat_seconds=${heartbeatSeconds}`);
  return chain;
}

/** {@link ProcessUsage} of a node and the processes that it has started; memory of the node alone. */
export interface NodeUsage extends ProcessUsage {
  /** For how long its main thread was ready to run and had no core (proc_schedstat): other work on the machine. */
  readonly waitedMs: number;
}

/** One node's process, with that of its card. */
export class RunningNode implements AsyncDisposable {
  readonly name: string;
  readonly #node: LocalNode;
  readonly #process: ChildProcess;

  /** @param profileFolder - Where Node writes a CPU profile when the node ends. */
  constructor(name: string, node: LocalNode, profileFolder?: string) {
    this.name = name;
    this.#node = node;
    const main = join(import.meta.dirname, "../../src/chain/node/main.ts");
    const profile = profileFolder === undefined ? [] : ["--cpu-prof", "--cpu-prof-dir", profileFolder];
    this.#process = spawn(process.execPath, [...profile, main, "-c", "config.ini"], {
      cwd: node.folder,
      stdio: ["ignore", "ignore", "inherit"],
    });
  }

  get log(): string {
    return this.#node.log;
  }

  /** @throws {Error} When the node has ended. */
  async connected(count: number): Promise<void> {
    const line = `[P2PService][Service]connected,`;
    while (!(this.log.includes("[NODE]started") && this.log.split(line).length > count)) {
      if (this.#process.exitCode !== null) throw new Error(`${this.name} has ended with ${this.#process.exitCode}`);
      await pause(100);
    }
  }

  usage(): NodeUsage {
    const { pid = 0 } = this.#process;
    const { cpuMs, rssMiB } = usageOf(pid);
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
    const [, waitedNs] = readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ");
    return {
      cpuMs: children.reduce((sum, child) => sum + usageOf(Number(child)).cpuMs, cpuMs),
      rssMiB,
      waitedMs: Number(waitedNs) / 1e6,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill();
    const timer = setTimeout(() => child.kill("SIGKILL"), stopMs);
    await ended;
    clearTimeout(timer);
  }
}
