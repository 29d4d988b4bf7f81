/** EthereumJS as a library: a private Clique chain, stores and keys given by the caller, everything on loopback. */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { CliqueConsensus, createBlockchain } from "@ethereumjs/blockchain";
import { LevelDB } from "@ethereumjs/client/dist/esm/src/execution/level.js";
import { Config, EthereumClient } from "@ethereumjs/client/dist/esm/src/index.js";
import type { Logger } from "@ethereumjs/client/dist/esm/src/logging.js";
import { RPCManager } from "@ethereumjs/client/dist/esm/src/rpc/index.js";
import { createRPCServer, createRPCServerListener, MethodConfig } from "@ethereumjs/client/dist/esm/src/util/rpc.js";
import {
  ConsensusAlgorithm,
  createCommonFromGethGenesis,
  type GethGenesis,
  Hardfork,
  parseGethGenesisState,
} from "@ethereumjs/common";
import { createAddressFromPrivateKey } from "@ethereumjs/util";
import type { AbstractLevel } from "abstract-level";
import "./clique-block-builder.ts";
import { loopback } from "./loopback.ts";
import { PromptSynchronizer } from "./prompt-synchronizer.ts";

/** A store as EthereumJS uses it: any abstract-level 3 database over bytes. */
export type NodeStore = AbstractLevel<string | Uint8Array, string | Uint8Array, string | Uint8Array>;

/** The three databases of a node: blocks, account state, receipts and indexes. */
export interface NodeStores {
  readonly chain: NodeStore;
  readonly state: NodeStore;
  readonly meta: NodeStore;
}

export interface ClientOptions {
  /** Path of a genesis file in geth's JSON form. */
  readonly genesisPath: string;
  readonly dataFolder: string;
  readonly stores: NodeStores;
  /** secp256k1 private keys, 32 bytes each; kept and used until the node is closed. */
  readonly nodeKey: Uint8Array;
  readonly accountKey: Uint8Array;
  /** Seal blocks with the account key. */
  readonly mine: boolean;
  /** TCP and UDP port for other nodes. */
  readonly port: number;
  readonly rpcPort: number;
  /** The node to stay connected to: `enode://PUBLICKEY@127.0.0.1:PORT`. */
  readonly bootnode: string | undefined;
  readonly log: (level: "debug" | "info" | "warn" | "error", message: string) => void;
}

/** A node that is up. */
export interface RunningClient {
  /** `enode://PUBLICKEY@127.0.0.1:PORT` */
  readonly enode: string;
  /** Height of the newest block when the node came up. */
  readonly height: number;
  /** Stops network, RPC and execution, then closes the stores. */
  close(): Promise<void>;
}

const reconnectMs = 1000;

/**
 * Opens the stores' chain (or begins it from the genesis), then the network and the JSON-RPC door on 127.0.0.1.
 *
 * The stores must be open; they are closed by {@link RunningClient.close}, and by this call when it throws.
 */
export async function startClient(options: ClientOptions): Promise<RunningClient> {
  // What is open, to be closed in the opposite order: by the caller later, or here when something fails half-way.
  await using opened = new AsyncDisposableStack();
  for (const store of Object.values(options.stores)) opened.defer(() => store.close());

  const client = await createClient(options);
  const { config } = client;
  PromptSynchronizer.install(client);
  // EthereumJS goes on without a network when its port is taken.
  await close(await listen(createServer(), options.port));
  opened.defer(async () => void (await client.stop()));
  await client.open();
  await client.start();
  if (options.bootnode !== undefined) opened.defer(keepConnected(client, options.bootnode));

  const { server } = createRPCServer(new RPCManager(client, config), {
    methodConfig: MethodConfig.WithoutEngine,
    rpcDebug: "",
    rpcDebugVerbose: "",
  });
  const door = await listen(createRPCServerListener({ server }), options.rpcPort);
  opened.defer(() => close(door));

  const all = opened.move();
  return {
    enode: client.server()?.getRlpxInfo().enode ?? "",
    height: Number(client.chain.blocks.height),
    close: () => all.disposeAsync(),
  };
}

async function createClient(options: ClientOptions): Promise<EthereumClient> {
  const { stores, nodeKey, accountKey, mine, port, log } = options;
  const genesis = JSON.parse(readFileSync(options.genesisPath, "utf8")) as GethGenesis;
  const common = createCommonFromGethGenesis(genesis, { chain: "consortium", hardfork: Hardfork.London });
  const genesisState = parseGethGenesisState(genesis);
  const config = new Config({
    common,
    datadir: options.dataFolder,
    key: nodeKey,
    accounts: [[createAddressFromPrivateKey(accountKey), accountKey]],
    mine,
    isSingleNode: mine,
    discDns: false,
    discV4: false,
    extIP: loopback,
    port,
    bootnodes: [],
    logger: loggerTo(log),
    saveReceipts: true,
    safeReorgDistance: 8,
  });
  const blockchain = await createBlockchain({
    db: new LevelDB(stores.chain),
    common: config.chainCommon,
    hardforkByHeadBlockNumber: true,
    validateBlocks: true,
    validateConsensus: true,
    consensusDict: { [ConsensusAlgorithm.Clique]: new CliqueConsensus() },
    genesisState,
  });
  config.chainCommon.setForkHashes(blockchain.genesisBlock.hash());
  return await EthereumClient.create({
    config,
    blockchain,
    genesisState,
    chainDB: stores.chain,
    stateDB: stores.state,
    metaDB: stores.meta,
  });
}

/** The server once it listens on 127.0.0.1. @throws {Error} `EADDRINUSE` when the port is taken. */
async function listen<S extends Server>(server: S, port: number): Promise<S> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, loopback, resolve);
  });
  return server;
}

async function close(server: Server & { closeAllConnections?: () => void }): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections?.();
  await closed;
}

/**
 * Dials the node of `enode` whenever no peer is connected; returns what ends it.
 *
 * EthereumJS's own bootnode option asks once, bans a node that is down for five minutes, and looks again after one.
 */
function keepConnected(client: EthereumClient, enode: string): () => void {
  const match = /^enode:\/\/([0-9a-f]{128})@127\.0\.0\.1:([0-9]{1,5})$/.exec(enode);
  if (match?.[1] === undefined) throw new RangeError(`not an enode on 127.0.0.1: ${enode}`);
  const peer = { id: Buffer.from(match[1], "hex"), address: loopback, tcpPort: Number(match[2]) };
  const dial = () => {
    const rlpx = client.server()?.rlpx;
    if (client.service.pool.size > 0 || !rlpx) return;
    // Refused, or already dialling: the next round tries again.
    rlpx.connect(peer).catch(() => {});
  };
  dial();
  const timer = setInterval(dial, reconnectMs);
  return () => clearInterval(timer);
}

/** The five members that EthereumJS calls of a winston logger. */
function loggerTo(log: ClientOptions["log"]): Logger {
  const at = (level: Parameters<typeof log>[0]) => (message: unknown) =>
    log(level, message instanceof Error ? message.message : String(message));
  const logger = {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    isInfoEnabled: () => false,
  };
  return logger as unknown as Logger;
}
