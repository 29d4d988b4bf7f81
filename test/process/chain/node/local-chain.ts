import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { readGenesis } from "../../../../src/chain/build/genesis-reader.ts";
import type { Chain } from "../../../../src/chain/ledger/genesis.ts";
import { chainOf } from "../../../../src/chain/node/chain-of.ts";
import { SoftSigner } from "../../../../src/chain/node/soft-signer.ts";
import { ChainClient } from "../../../../src/chain/sdk/chain-client.ts";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { writePrivateKey } from "../../../../src/crypto/pem.ts";
import { freePorts } from "../build/chain-scripts.ts";

const root = join(import.meta.dirname, "../../../..");
const patienceMs = 120_000;
/** Characters of each node's log that a failure shows. */
const logShown = 2000;

/** Waits until `met` answers with something other than false or undefined. */
export async function until<T>(
  what: string,
  met: () => Promise<T | false | undefined> | T | false | undefined,
): Promise<T> {
  const latest = performance.now() + patienceMs;
  // Many a question is a connection of its own: whoever waits long asks less often.
  for (let pauseMs = 50; ; pauseMs = Math.min(1.3 * pauseMs, 250)) {
    const answer = await met();
    if (answer !== false && answer !== undefined) return answer;
    if (performance.now() > latest) throw new Error(`this did not come true: ${what}`);
    await pause(pauseMs);
  }
}

/** A node's process, and what it has left in its folder. */
export class LocalNode {
  readonly folder: string;
  readonly rpcPort: number;
  #process: ChildProcess | undefined;
  said = "";

  constructor(folder: string, rpcPort: number) {
    this.folder = folder;
    this.rpcPort = rpcPort;
  }

  start(...args: readonly string[]): void {
    const main = join(root, "src/chain/node/main.ts");
    const child = spawn(process.execPath, [main, "-c", "config.ini", ...args], {
      cwd: this.folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => {
        this.said += chunk;
      });
    this.#process = child;
  }

  /** Resolves with the exit code, or the signal's name. */
  async end(signal?: NodeJS.Signals): Promise<number | string> {
    const child = this.#process;
    if (child === undefined) return 0;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      if (signal !== undefined) child.kill(signal);
      await ended;
    }
    this.#process = undefined;
    return child.exitCode ?? child.signalCode ?? 0;
  }

  get log(): string {
    const folder = join(this.folder, "log");
    if (!existsSync(folder)) return "";
    return readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), "utf8"))
      .join("");
  }

  /** The count of the newest heartbeat line. */
  get connected(): number | undefined {
    const newest = [...this.log.matchAll(/heartBeat,connected count=(\d+)\n/g)].at(-1)?.[1];
    return newest === undefined ? undefined : Number(newest);
  }
}

/** Four nodes on this machine, made by build_chain.sh. */
export class LocalChain implements AsyncDisposable {
  readonly nodes: readonly LocalNode[];
  readonly chain: Chain;
  readonly #folder: string;

  private constructor(folder: string, nodes: readonly LocalNode[], chain: Chain) {
    this.#folder = folder;
    this.nodes = nodes;
    this.chain = chain;
  }

  static async build(...options: readonly string[]): Promise<LocalChain> {
    const folder = mkdtempSync(join(tmpdir(), "strongroom-chain-"));
    const { p2p, rpc } = await freePorts();
    const build = spawn(
      join(root, "bin/build_chain.sh"),
      ["-l", "127.0.0.1:4", "-p", `${p2p},${rpc}`, "-o", "nodes", ...options],
      { cwd: folder, stdio: ["ignore", "ignore", "pipe"] },
    );
    let said = "";
    build.stderr.on("data", (chunk: Buffer) => {
      said += chunk;
    });
    const [code] = await once(build, "exit");
    if (code !== 0) {
      rmSync(folder, { recursive: true, force: true });
      throw new Error(`build_chain.sh ended with ${code}: ${said}`);
    }
    const nodes = [0, 1, 2, 3].map(
      (index) => new LocalNode(join(folder, "nodes/127.0.0.1", `node${index}`), rpc + index),
    );
    for (const node of nodes)
      appendFileSync(join(node.folder, "config.ini"), "\n[strongroom]\n    heartbeat_seconds=1\n");
    return new LocalChain(folder, nodes, chainOf(readGenesis(join(nodes[0]?.folder ?? "", "config.genesis"))));
  }

  node(index: number): LocalNode {
    const node = this.nodes[index];
    if (node === undefined) throw new RangeError(`there is no node ${index}`);
    return node;
  }

  /** A client of one node with a fresh account. */
  client(index: number, timeoutMs = patienceMs): Promise<ChainClient> {
    return this.clientOf(this.node(index), timeoutMs);
  }

  async clientOf({ rpcPort }: LocalNode, timeoutMs = patienceMs): Promise<ChainClient> {
    const { algorithm } = this.chain.suite;
    using scalar = generateKeyPair(algorithm).scalar;
    using pem = writePrivateKey(algorithm, scalar, "pkcs8");
    const account = await SoftSigner.ofPem(pem, algorithm);
    return new ChainClient({
      chain: this.chain,
      endpoint: { host: "127.0.0.1", port: rpcPort, timeoutMs },
      account,
    });
  }

  /** The height that a node says; undefined while it does not answer. */
  async height(index: number): Promise<number | undefined> {
    using client = await this.client(index, 20_000);
    return await client.blockNumber().catch(() => undefined);
  }

  /** Changes a line of a node's config.ini. */
  configure(index: number, from: RegExp, to: string): void {
    const path = join(this.node(index).folder, "config.ini");
    writeFileSync(path, readFileSync(path, "utf8").replace(from, to), { mode: 0o600 });
  }

  async connected(index: number, count: number): Promise<void> {
    try {
      await until(`node${index} is connected to ${count}`, () => this.node(index).connected === count);
    } catch (cause) {
      const last = this.nodes.map(({ said, log }, at) => `node${at}: ${said}\n${log.slice(-logShown)}`).join("\n");
      throw new Error(`node${index} is connected to ${this.node(index).connected}, not ${count}\n${last}`, { cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end("SIGKILL")));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
