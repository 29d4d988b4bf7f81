import { readGenesis } from "../build/genesis-reader.ts";
import type { NodeEndpoint } from "../build/nodes-file.ts";
import type { Chain } from "../ledger/genesis.ts";
import { writeAddress } from "../net/address.ts";
import { chainOf } from "../node/chain-of.ts";
import { readSdkConfig, type SdkConfig } from "../sdk-config.ts";
import { ChainClient } from "./chain-client.ts";
import { ChainClientError } from "./errors.ts";
import { openAccount } from "./open-account.ts";

export interface ClientFiles {
  /** The client's configuration, as the java-sdk writes it. */
  readonly config: string;
  /** config.genesis of the chain, from a place that is trusted: all proofs are checked against it. */
  readonly genesis: string;
}

/** A client with its account, both open until they are disposed of. */
export interface OpenClient extends AsyncDisposable {
  readonly client: ChainClient;
  readonly chain: Chain;
  /** The node that answers. */
  readonly node: NodeEndpoint;
  /** `04 ‖ X ‖ Y` of the account; undefined for a client that only reads. */
  readonly account?: Buffer;
}

/** The chain and the configuration of a client, which fit each other. */
export interface ClientSettings {
  readonly chain: Chain;
  readonly config: SdkConfig;
}

/**
 * Reads a client's two files.
 *
 * @throws {ChainBuildError} `CONFIG_INVALID`, `FILE_UNUSABLE`; {@link LedgerError} `GENESIS_INVALID`.
 * @throws {ChainClientError} `CONFIG_UNUSABLE` when they don't fit each other, or ask for TLS, which the nodes' RPC does not have.
 */
export function readClientFiles({ config: file, genesis }: ClientFiles): ClientSettings {
  const config = readSdkConfig(file);
  const chain = chainOf(readGenesis(genesis));
  if (config.smCrypto !== (chain.suite.name === "sm"))
    throw unusable(`${file} has useSMCrypto = ${config.smCrypto}, which is not what the chain of ${genesis} uses`);
  if (config.network.group !== chain.groupId)
    throw unusable(`${file} names the group ${config.network.group}, ${genesis} has ${chain.groupId}`);
  if (config.tls !== undefined)
    throw unusable(`${file} asks for TLS, which the reference node's RPC does not have: set disableSsl = "true"`);
  return { chain, config };
}

/** A client that reads from one node. */
export function readingClient({ chain, config }: ClientSettings, node: NodeEndpoint): ChainClient {
  return new ChainClient({ chain, endpoint: { ...node, timeoutMs: config.network.messageTimeoutMs } });
}

/**
 * Opens a client of the first node in `[network] peers` that answers, and the account: the cipher machine's key or the PEM file that
 * the configuration names.
 *
 * @param withAccount - False for a client that only reads: no account is opened, and none need be named.
 * @throws Errors of {@link readClientFiles} and of `openAccount`; {@link ChainClientError} `UNREACHABLE` when no node answers,
 *   `ANSWER_INVALID` when what answers is no node.
 */
export async function openClient(files: ClientFiles, withAccount = true): Promise<OpenClient> {
  const settings = readClientFiles(files);
  const { chain, config } = settings;
  const node = await answeringNode(settings);
  const opened = withAccount ? await openAccount(config) : undefined;
  const endpoint = { ...node, timeoutMs: config.network.messageTimeoutMs };
  const client = new ChainClient({ chain, endpoint, ...(opened === undefined ? {} : { account: opened.account }) });
  return {
    client,
    chain,
    node,
    ...(opened === undefined ? {} : { account: opened.account.publicKey }),
    [Symbol.asyncDispose]: async () => {
      client[Symbol.dispose]();
      await opened?.[Symbol.asyncDispose]();
    },
  };
}

async function answeringNode(settings: ClientSettings): Promise<NodeEndpoint> {
  const { peers } = settings.config.network;
  let nonsense: ChainClientError | undefined;
  for (const node of peers) {
    using client = readingClient(settings, node);
    try {
      await client.blockNumber();
      return node;
    } catch (error) {
      // A node that answers, though with a refusal, is there: what it refuses is the caller's to know.
      if (!(error instanceof ChainClientError)) throw error;
      // What is no node's answer is told only when no other node is there.
      if (error.code === "ANSWER_INVALID") nonsense ??= error;
      else if (error.code !== "UNREACHABLE") throw error;
    }
  }
  if (nonsense !== undefined) throw nonsense;
  throw new ChainClientError("UNREACHABLE", `none of the nodes answers: ${peers.map(writeAddress).join(", ")}`);
}

function unusable(message: string): ChainClientError {
  return new ChainClientError("CONFIG_UNUSABLE", message);
}
