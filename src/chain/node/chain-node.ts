import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FileLock, LockHeld } from "../../devices/file-lock.ts";
import type { ChainNodeConfig } from "../build/config-reader.ts";
import type { Chain } from "../ledger/genesis.ts";
import { Network } from "../net/network.ts";
import { chainMethods } from "../rpc/chain-methods.ts";
import { RpcServer } from "../rpc/rpc-server.ts";
import { chainIdentity, sealerName } from "./chain-identity.ts";
import { chainOf } from "./chain-of.ts";
import type { ChainStore } from "./chain-store.ts";
import { ChainNodeError } from "./errors.ts";
import { connectCounter } from "./guard-counter.ts";
import type { Log } from "./log.ts";
import { openDatabase } from "./open-database.ts";
import { openSigner, sealerIndex } from "./open-signer.ts";
import { openState } from "./open-state.ts";
import { checkOwnKey } from "./own-key.ts";
import { RefusalLog } from "./refusal-log.ts";
import { ReplicaHost } from "./replica-host.ts";
import { SealedGuard } from "./sealed-guard.ts";
import { nodeSettings } from "./settings.ts";
import { storeKey } from "./store-key.ts";

export interface NodeStart {
  readonly config: ChainNodeConfig;
  readonly log: Log;
  /** Descriptor with the store's 32-byte key. */
  readonly storeKeyFd?: number;
  /** Descriptor with node.pem's content. */
  readonly nodeKeyFd?: number;
  /** The node can't go on. */
  readonly fatal: (error: Error) => void;
}

/** For a transaction's block. */
const receiptWaitMs = 30_000;
const lockFileName = "lock";

/** A running node: its parts in the order in which they were opened, and closed in the other. */
export class ChainNode implements AsyncDisposable {
  readonly #parts: AsyncDisposableStack;
  readonly host: ReplicaHost;
  readonly network: Network;
  readonly rpc: RpcServer;

  private constructor(parts: AsyncDisposableStack, host: ReplicaHost, network: Network, rpc: RpcServer) {
    this.#parts = parts;
    this.host = host;
    this.network = network;
    this.rpc = rpc;
  }

  /**
   * Opens keys, guard and store, then listens. Nothing listens before all else is open, and a node that can't start leaves its
   * files as they were.
   *
   * @throws {ChainNodeError} and the errors of its parts: `DeviceError`, `ChainBuildError`, `LedgerError`, `NetError`.
   */
  static async start(options: NodeStart): Promise<ChainNode> {
    const { config, log } = options;
    const settings = nodeSettings(config);
    await using parts = new AsyncDisposableStack();
    const chain = chainOf(config.genesis);
    const genesisDigest = chain.suite.hash(chain.genesisHash, config.genesis.fileSha256);
    const tls = tlsFiles(config);
    mkdirSync(config.storage.dataPath, { recursive: true, mode: 0o700 });
    parts.use(lock(join(config.storage.dataPath, lockFileName)));

    const opened = parts.use(await openSigner(config, options.nodeKeyFd, (line) => log.write("info", line)));
    const self = sealerIndex(config, opened.signer);
    checkOwnKey(config, opened.signer);
    const identity = chainIdentity(chain, self, genesisDigest, opened.signer);
    log.write(
      "info",
      `[NODE]sealer ${self} of ${chain.sealers.length}, node id ${identity.nodeId}, signing with ${opened.description}`,
    );

    using dataKey = await storeKey(config, options.storeKeyFd);
    if (dataKey === undefined)
      log.write("warning", "[STORAGE]storage_security is off: blocks and state are stored without encryption");
    const stateDigest = chain.suite.hash(genesisDigest, opened.signer.publicKey);
    const { dataPath } = config.storage;
    const suite = config.genesis.smCrypto ? "sm" : "intl";
    const { guardCounter, withoutCounter } = settings;
    // Of what votes bind, and of no more: whatever else is changed in config.genesis, it is the same chain's votes.
    const voter = chain.suite.hash(chain.genesisHash, opened.signer.publicKey);
    const counter = guardCounter === undefined ? undefined : await connectCounter(guardCounter, voter);
    if (counter !== undefined) parts.defer(() => counter.close());
    const { store, guard } = await openState(
      {
        chain,
        stateDigest,
        places: { folder: config.folder, dataPath },
        log,
        withoutCounter,
        ...(counter === undefined ? {} : { counter }),
        openDatabase: () => openDatabase(join(dataPath, "store"), dataKey, suite),
      },
      parts,
    );
    const voteGuard = dataKey === undefined ? guard : parts.use(new SealedGuard(guard, dataKey, suite));

    const sealerOf = (nodeId: string) => chain.sealers.indexOf(nodeId);
    const refusals = new RefusalLog(log);
    let network: Network | undefined;
    const outward = {
      send: (to: number, bytes: Buffer) => void network?.send(chain.sealers[to] ?? "", bytes),
      sendToAll: (bytes: Buffer) => network?.broadcast(bytes),
      disconnect: (peer: number) => network?.disconnect(chain.sealers[peer] ?? ""),
    };
    const host = await ReplicaHost.restore({
      chain,
      self,
      store,
      guard: voteGuard,
      signer: opened.signer,
      outward,
      log,
      settings: settings.replica,
      signDeadlineMs: settings.signDeadlineMs,
      fatal: options.fatal,
    });
    network = parts.use(
      await Network.start(
        {
          listen: { host: config.p2p.listenIp, port: config.p2p.listenPort },
          tls,
          identity,
          dial: config.p2p.nodes.filter(
            ({ host: at, port }) => at !== config.p2p.listenIp || port !== config.p2p.listenPort,
          ),
        },
        {
          message: (nodeId, body) => host.message(sealerOf(nodeId), body),
          connected: (nodeId) =>
            log.write("info", `[P2PService][Service]connected,sealer=${sealerName(chain, nodeId)}`),
          disconnected: (nodeId, reason) =>
            log.write(
              "warning",
              `[P2PService][Service]disconnected,sealer=${sealerName(chain, nodeId)}: ${reason?.message ?? "closed"}`,
            ),
          refused: (from, reason) => refusals.add(from, reason),
        },
      ),
    );
    const links = network;
    const heartbeat = setInterval(
      () => log.write("info", `[P2PService][Service][METRIC]heartBeat,connected count=${links.connected.length}`),
      settings.heartbeatSeconds * 1000,
    );
    parts.defer(() => clearInterval(heartbeat));
    const rpc = parts.use(await startRpc(config, chain, identity.nodeId, host, store, links));
    parts.defer(() => host.stop());
    host.start();
    log.write("info", `[NODE]started,number=${host.height},p2p=${config.p2p.listenPort},rpc=${config.rpc.listenPort}`);
    return new ChainNode(parts.move(), host, links, rpc);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

async function startRpc(
  { rpc }: ChainNodeConfig,
  chain: Chain,
  nodeId: string,
  host: ReplicaHost,
  store: ChainStore,
  network: Network,
): Promise<RpcServer> {
  const methods = chainMethods({
    chain,
    nodeId,
    get height() {
      return host.height;
    },
    get connected() {
      return network.connected;
    },
    block: (height) => store.block(height),
    receipts: (height) => store.receipts(height),
    storedReceipt: (hash) => host.storedReceipt(hash),
    get: (key) => host.get(key),
    transact: async (encoded) => {
      const submission = await host.submit(encoded);
      if (!submission.accepted) return { refused: submission.reason };
      return { receipt: await host.receipt(submission.hash, receiptWaitMs) };
    },
  });
  try {
    return await RpcServer.start({ host: rpc.listenIp, port: rpc.listenPort }, methods);
  } catch (cause) {
    throw new ChainNodeError(
      "CONFIG_UNUSABLE",
      `the RPC cannot listen on port ${rpc.listenPort}: ${(cause as Error).message}`,
      cause,
    );
  }
}

function tlsFiles({ tls }: ChainNodeConfig) {
  const read = (path: string) => {
    try {
      return readFileSync(path);
    } catch (cause) {
      throw new ChainNodeError("CONFIG_UNUSABLE", `${path} cannot be read`, cause);
    }
  };
  return { ca: read(tls.caCertificate), certificate: read(tls.certificate), privateKey: read(tls.privateKey) };
}

function lock(path: string): FileLock {
  try {
    return new FileLock(path, 0);
  } catch (cause) {
    if (cause instanceof LockHeld) throw new ChainNodeError("NODE_RUNNING", undefined, cause);
    throw new ChainNodeError("CONFIG_UNUSABLE", `${path} cannot be written: ${(cause as Error).message}`, cause);
  }
}
