/** Starts the Ethereum node program as a child process, waits until it is up, and stops it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { EthereumRpc } from "./ethereum-rpc.ts";

/** The node program, for those who start it themselves (with {@link readReadyLine}). */
export const nodeProgram: string = join(import.meta.dirname, "ethereum-node.ts");

/** What the program prints when it is ready. */
export interface ReadyLine {
  readonly enode: string;
  readonly rpcPort: number;
  /** Height of the newest block at that moment. */
  readonly height: number;
  readonly encrypted: boolean;
}

export interface NodeStart {
  readonly dataFolder: string;
  readonly genesisPath: string;
  readonly port: number;
  readonly rpcPort: number;
  /** 64 hexadecimal digits; handed over by descriptor, stays the caller's to wipe. */
  readonly nodeKeyHex: Uint8Array;
  readonly accountKeyHex: Uint8Array;
  /** 32 raw bytes; the databases are encrypted when it is given. */
  readonly levelKey?: Uint8Array;
  readonly suite?: "intl" | "sm";
  /** Seal blocks under this address, the account key's. */
  readonly miner?: string;
  readonly bootnode?: string;
  /** How long the node may take to come up. @defaultValue `60000` */
  readonly timeoutMs?: number;
}

/** A child that ended before it was up. */
export class NodeEnded extends Error {
  override readonly name = "NodeEnded";
  readonly exitCode: number | null;

  constructor(exitCode: number | null, log: string) {
    super(`the node ended with exit code ${exitCode} before it was up\n${log}`);
    this.exitCode = exitCode;
  }
}

/** A node that runs in a child process of its own. */
export class NodeProcess {
  readonly ready: ReadyLine;
  readonly rpc: EthereumRpc;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ready: ReadyLine) {
    this.#child = child;
    this.ready = ready;
    this.rpc = new EthereumRpc(ready.rpcPort);
  }

  /**
   * Starts a node and waits until it is up; its keys go over inherited descriptors and are in no file or argument.
   *
   * @throws {NodeEnded} When it ends first. @throws {Error} After `timeoutMs`; the child is then killed.
   */
  static async start(start: NodeStart): Promise<NodeProcess> {
    const { levelKey, miner, bootnode, suite } = start;
    const args = [
      nodeProgram,
      ...["--datadir", start.dataFolder, "--genesis", start.genesisPath],
      ...["--port", String(start.port), "--rpc-port", String(start.rpcPort)],
      ...["--node-key-fd", "3", "--account-key-fd", "4"],
      ...(levelKey === undefined ? [] : ["--level-key-fd", "5"]),
      ...(suite === undefined ? [] : ["--suite", suite]),
      ...(miner === undefined ? [] : ["--miner", miner]),
      ...(bootnode === undefined ? [] : ["--bootnode", bootnode]),
    ];
    const keys = [start.nodeKeyHex, start.accountKeyHex, ...(levelKey === undefined ? [] : [levelKey])];
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", "pipe", ...keys.map(() => "pipe" as const)],
    });
    for (const [i, key] of keys.entries()) {
      const pipe = child.stdio[3 + i];
      if (pipe === null || pipe === undefined || !("end" in pipe)) throw new Error("the key descriptor was not opened");
      // A child that refuses its arguments ends without reading its keys.
      pipe.on("error", () => {});
      pipe.end(key);
    }
    return new NodeProcess(child, await readReadyLine(child, start.timeoutMs));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** True until the process has ended. */
  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Asks the node to stop (SIGTERM) and waits; its exit code. Killed after 20 s, which reads as null. */
  async stop(): Promise<number | null> {
    return await this.#end("SIGTERM");
  }

  /** Ends the node as a power cut would (SIGKILL). */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    if (this.running) {
      const ended = once(this.#child, "exit");
      this.#child.kill(signal);
      const patience = setTimeout(() => this.#child.kill("SIGKILL"), 20_000);
      await ended;
      clearTimeout(patience);
    }
    return this.#child.exitCode;
  }
}

/**
 * Waits for the ready line of a node program started with piped stdout and stderr, directly or by a launcher.
 *
 * Lines on stdout before it are passed over. Stderr is drained, and its last lines are in the error.
 *
 * @throws {NodeEnded} When the process ends first. @throws {Error} After `timeoutMs`; the process is then killed.
 */
export async function readReadyLine(child: ChildProcess, timeoutMs = 60_000): Promise<ReadyLine> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new TypeError("the node's stdout and stderr must be pipes");
  let log = "";
  stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-4096);
  });
  const { promise, resolve, reject } = Promise.withResolvers<ReadyLine>();
  const patience = setTimeout(() => {
    child.kill("SIGKILL");
    reject(new Error(`the node was not up within ${timeoutMs} ms\n${log}`));
  }, timeoutMs);
  // "close" comes after the last of stderr, which says why.
  child.once("close", (exitCode) => reject(new NodeEnded(exitCode, log)));
  child.once("error", reject);
  createInterface({ input: stdout }).on("line", (line) => {
    const ready = parseReadyLine(line);
    if (ready !== undefined) resolve(ready);
  });
  try {
    return await promise;
  } finally {
    clearTimeout(patience);
  }
}

function parseReadyLine(line: string): ReadyLine | undefined {
  if (!line.startsWith("{")) return undefined;
  const { enode, rpcPort, height, encrypted } = JSON.parse(line) as Partial<ReadyLine>;
  if (typeof enode !== "string" || typeof rpcPort !== "number" || typeof height !== "number") return undefined;
  return { enode, rpcPort, height, encrypted: encrypted === true };
}
