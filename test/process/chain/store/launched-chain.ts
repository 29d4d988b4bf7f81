import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readGenesis } from "../../../../src/chain/build/genesis-reader.ts";
import type { Chain } from "../../../../src/chain/ledger/genesis.ts";
import { chainOf } from "../../../../src/chain/node/chain-of.ts";
import { SoftSigner } from "../../../../src/chain/node/soft-signer.ts";
import { ChainClient } from "../../../../src/chain/sdk/chain-client.ts";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { writePrivateKey } from "../../../../src/crypto/pem.ts";
import type { TestCard } from "../../../sdf-card/build.ts";
import { ChainFolder } from "../../../unit/chain/build/chain-folder.ts";
import { KeyManagerProcess, succeed } from "../../node/key-manager-process.ts";
import { freePorts } from "../build/chain-scripts.ts";
import { until } from "../node/local-chain.ts";

const strongroom = join(import.meta.dirname, "../../../../bin/strongroom");
const patienceMs = 90_000;
const firstCardIndex = 43;

/** A node's folder, and the launch that runs it. */
export class LaunchedChainNode {
  readonly folder: string;
  readonly principal: string;
  readonly rpcPort: number;
  #launch: ChildProcess | undefined;
  said = "";

  constructor(folder: string, principal: string, rpcPort: number) {
    this.folder = folder;
    this.principal = principal;
    this.rpcPort = rpcPort;
  }

  /** `strongroom node launch`. Machines differ in swap and core dumps; what matters here is the key manager. */
  launch(): void {
    const child = spawn(strongroom, ["node", "launch", this.folder, "--allow-unsafe"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => {
        this.said += chunk;
      });
    this.#launch = child;
  }

  /** Starts it, and waits for the exit code of a start that fails. */
  async refusedStart(): Promise<{ readonly code: number | string; readonly said: string }> {
    this.said = "";
    this.launch();
    const code = await this.end();
    return { code, said: this.said };
  }

  /** The launch's process id. */
  get launchPid(): number {
    const pid = this.#launch?.pid;
    if (pid === undefined) throw new RangeError(`${this.folder} is not launched`);
    return pid;
  }

  /** The process id of the node's program itself: the launch's child. */
  get programPid(): number {
    const children = readFileSync(`/proc/${this.launchPid}/task/${this.launchPid}/children`, "utf8").trim().split(" ");
    const program = children
      .map(Number)
      .find((pid) => readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("fisco-bcos"));
    if (program === undefined) throw new RangeError(`the launch of ${this.folder} runs no program`);
    return program;
  }

  /** Resolves with the launch's exit code, or the signal's name. */
  async end(signal?: NodeJS.Signals): Promise<number | string> {
    const child = this.#launch;
    if (child === undefined) return 0;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      if (signal !== undefined) child.kill(signal);
      await ended;
    }
    this.#launch = undefined;
    return child.exitCode ?? child.signalCode ?? 0;
  }

  /** All that it has written, to its log files and to the launch's output. */
  get words(): string {
    const folder = join(this.folder, "log");
    const files = existsSync(folder) ? readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8")) : [];
    return [...files, this.said].join("\n");
  }

  /** How often it has said that it runs. */
  get starts(): number {
    return this.words.split("[NODE]started").length - 1;
  }

  /** The count of the newest heartbeat line. */
  get connected(): number | undefined {
    const newest = [...this.words.matchAll(/heartBeat,connected count=(\d+)\n/g)].at(-1)?.[1];
    return newest === undefined ? undefined : Number(newest);
  }
}

export interface LaunchedChainOptions {
  readonly nodes: number;
  /** The nodes' keys are imported into it; without one they are sealed files. */
  readonly card?: TestCard;
  /** The card's PIN. */
  readonly pin?: string;
  /** secp256k1 and Keccak-256 in place of SM2 and SM3. */
  readonly standard?: boolean;
}

/** A chain that `strongroom chain build --server` made with a real key manager. Its private keys are in no plain file. */
export class LaunchedChain implements AsyncDisposable {
  readonly keyManager: KeyManagerProcess;
  readonly nodes: readonly LaunchedChainNode[];
  readonly chain: Chain;
  /** The folder of the nodes of this host. */
  readonly host: string;
  readonly #folder: ChainFolder;

  private constructor(keyManager: KeyManagerProcess, folder: ChainFolder, nodes: readonly LaunchedChainNode[]) {
    this.keyManager = keyManager;
    this.#folder = folder;
    this.nodes = nodes;
    this.host = folder.at("nodes/127.0.0.1");
    this.chain = chainOf(readGenesis(join(this.host, "node0/config.genesis")));
  }

  static async build({ nodes: count, card, pin, standard = false }: LaunchedChainOptions): Promise<LaunchedChain> {
    const keyManager = await KeyManagerProcess.started();
    const folder = new ChainFolder();
    try {
      const { p2p, rpc } = await freePorts();
      const mode = standard ? [] : ["-s"];
      const line = ["-l", `127.0.0.1:${count}`, "-p", `${p2p},${rpc}`, ...mode, "-o", folder.at("nodes")];
      const machine = card === undefined ? [] : importKeys(card, folder, count, pin ?? "");
      mkdirSync(folder.at("tokens"));
      for (let index = 0; index < count; index++)
        renameSync(await keyManager.token(`chain0-node${index}`), folder.at(`tokens/chain0-node${index}`));
      const km = ["--server", keyManager.url, "--key", "alias/nodes", "--token-dir", folder.at("tokens")];
      await succeed("chain", "build", ...line, ...machine, ...km);
      const nodes = Array.from({ length: count }, (_, index) => {
        const node = folder.at(`nodes/127.0.0.1/node${index}`);
        beatEachSecond(join(node, "config.ini"));
        return new LaunchedChainNode(node, `chain0-node${index}`, rpc + index);
      });
      return new LaunchedChain(keyManager, folder, nodes);
    } catch (error) {
      folder[Symbol.dispose]();
      await keyManager[Symbol.asyncDispose]();
      throw error;
    }
  }

  node(index: number): LaunchedChainNode {
    const node = this.nodes[index];
    if (node === undefined) throw new RangeError(`there is no node ${index}`);
    return node;
  }

  /** A client of one node with a fresh account. */
  async client(index: number, timeoutMs = patienceMs): Promise<ChainClient> {
    const { algorithm } = this.chain.suite;
    using scalar = generateKeyPair(algorithm).scalar;
    using pem = writePrivateKey(algorithm, scalar, "pkcs8");
    const account = await SoftSigner.ofPem(pem, algorithm);
    const endpoint = { host: "127.0.0.1", port: this.node(index).rpcPort, timeoutMs };
    return new ChainClient({ chain: this.chain, endpoint, account });
  }

  /** The height that a node says; undefined while it does not answer. */
  async height(index: number): Promise<number | undefined> {
    using client = await this.client(index, 5000);
    return await client.blockNumber().catch(() => undefined);
  }

  async connected(index: number, count: number): Promise<void> {
    await until(
      `node${index} is connected to ${count}: ${this.node(index).words}`,
      () => this.node(index).connected === count,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end("SIGTERM")));
    this.#folder[Symbol.dispose]();
    await this.keyManager[Symbol.asyncDispose]();
  }
}

function importKeys(card: TestCard, folder: ChainFolder, count: number, pin: string): string[] {
  const indices = Array.from({ length: count }, (_, index) => firstCardIndex + index);
  for (const [number, index] of indices.entries()) {
    folder.writeKey(`keys/node${number}.pem`);
    card.admin("import", String(index), folder.at(`keys/node${number}.pem`));
  }
  const machine = ["--key-index", indices.join(), "--hsm-lib-path", card.library];
  return ["-H", "-n", folder.at("keys"), ...machine, "--pin-file", folder.write("pin", `${pin}\n`)];
}

function beatEachSecond(config: string): void {
  const text = readFileSync(config, "utf8");
  const line = "    heartbeat_seconds=1\n";
  const edited = text.includes("[strongroom]\n")
    ? text.replace("[strongroom]\n", `[strongroom]\n${line}`)
    : `${text}\n[strongroom]\n${line}`;
  writeFileSync(config, edited, { mode: 0o600 });
}
