/** One node of the demo: its keys, its manifest, its enrolment, its process. */
import type { ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import { releaseDataKey } from "../../src/node/data-key.ts";
import { connectKeyManager } from "../../src/node/key-manager.ts";
import { loadManifest } from "../../src/node/manifest-reader.ts";
import { type Commands, end } from "./commands.ts";
import { EthereumRpc } from "./ethereum-rpc.ts";
import { nodeProgram, type ReadyLine, readReadyLine } from "./node-process.ts";
import { addressOf } from "./transaction.ts";

export interface DemoNodeOptions {
  readonly name: string;
  readonly identity: "file" | "tmpfs";
  readonly folder: string;
  readonly genesisPath: string;
  readonly port: number;
  readonly rpcPort: number;
}

export class DemoNode {
  readonly name: string;
  readonly folder: string;
  readonly nodeKey: SecretBuffer = SecretBuffer.random(32);
  readonly accountKey: SecretBuffer = SecretBuffer.random(32);
  readonly address: string;
  readonly rpc: EthereumRpc;
  readonly #options: DemoNodeOptions;
  readonly #commands: Commands;
  #child: ChildProcess | undefined;

  constructor(options: DemoNodeOptions, commands: Commands) {
    this.name = options.name;
    this.folder = options.folder;
    this.#options = options;
    this.#commands = commands;
    this.rpc = new EthereumRpc(options.rpcPort);
    this.address = this.accountKey.expose((bytes) => addressOf(bytes));
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Writes the manifest, enrols, seals both keys and makes the volume: all by commands. */
  async prepare(server: string, extra: { readonly miner?: string; readonly bootnode?: string }): Promise<void> {
    const { name, identity, folder, genesisPath, port, rpcPort } = this.#options;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const program = [
      ...[process.execPath, nodeProgram, "--datadir", "{data}", "--genesis", genesisPath],
      ...["--port", String(port), "--rpc-port", String(rpcPort)],
      ...["--node-key-fd", "{fd:nodekey}", "--account-key-fd", "{fd:account}", "--level-key-fd", "{fd:level}"],
      ...(extra.miner === undefined ? [] : ["--miner", extra.miner]),
      ...(extra.bootnode === undefined ? [] : ["--bootnode", extra.bootnode]),
    ];
    const of = ["--kind", "ethereumjs", "--network", "demo", "--server", server, "--key", "alias/nodes"];
    const at = ["--dir", folder, "--identity", identity, "--volume", "level", "--address", `127.0.0.1:${port}`];
    await this.#commands.run(["node", "init", name, ...of, ...at, "--", ...program]);
    const token = join(folder, "token");
    const order = ["--key", "alias/nodes", "--identity-kind", identity, "--data", "km", "--out", token];
    await this.#commands.run(["node", "token", name, ...order]);
    await this.#commands.run(["node", "enroll", folder, "--token-file", token]);
    for (const [file, key] of [
      ["nodekey", this.nodeKey],
      ["account", this.accountKey],
    ] as const) {
      const path = join(folder, file);
      key.expose((bytes) => writeFileSync(path, bytes.toString("hex"), { mode: 0o600 })); // the plain file that is sealed next
      await this.#commands.run(["node", "seal", folder, path, "--name", file, "--format", "nodekey-hex"]);
    }
    await this.#commands.run(["volume", "create", folder]);
  }

  /** Launches the node and waits until it is up. */
  async launch(): Promise<ReadyLine> {
    this.#child = this.#commands.start(["node", "launch", this.folder]);
    return await readReadyLine(this.#child);
  }

  async stop(): Promise<number | null> {
    return this.#child === undefined ? null : await end(this.#child);
  }

  /** The data key, as the key manager releases it to this node: to search the disk for it. */
  async dataKey(): Promise<SecretBuffer> {
    const loaded = loadManifest(this.folder);
    const keyManager = await connectKeyManager(loaded);
    try {
      return await releaseDataKey(loaded, keyManager);
    } finally {
      keyManager.close();
    }
  }
}
