import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { receiptStatus } from "../../chain/ledger/receipt.ts";
import { maxKeyBytes, maxValueBytes } from "../../chain/ledger/transaction.ts";
import { writeAddress } from "../../chain/net/address.ts";
import { ChainClientError } from "../../chain/sdk/errors.ts";
import { type ClientFiles, openClient, readClientFiles, readingClient } from "../../chain/sdk/open-client.ts";
import type { ProvedReceipt } from "../../chain/sdk/receipt-proof.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, table, tell } from "../output.ts";

/** Where a client of both this package and the java-sdk keeps what only this package reads. */
const ownConfig = "strongroom.config.toml";

export interface ClientOptions extends OutputOptions {
  readonly config?: string;
  readonly genesis?: string;
}

export interface BytesOptions extends ClientOptions {
  readonly hex?: true;
}

function filesOf({ config: given, genesis }: ClientOptions): ClientFiles {
  const config = given ?? (existsSync(ownConfig) ? ownConfig : "config.toml");
  return { config, genesis: genesis ?? join(dirname(config), "config.genesis") };
}

/** `chain info`. The exit code is the worst node's. */
export async function runInfo(options: ClientOptions): Promise<void> {
  const settings = readClientFiles(filesOf(options));
  const { chain, config } = settings;
  const nodes = await Promise.all(
    config.network.peers.map(async (peer) => {
      const address = writeAddress(peer);
      using client = readingClient(settings, peer);
      try {
        const { nodeId, connected } = await client.peers();
        const { header, hash, signers } = await client.head();
        const head = { number: header.height, hash: hex(hash), signatures: signers.length };
        return { address, sealer: chain.sealers.indexOf(nodeId), nodeId, connected: connected.length, head };
      } catch (error) {
        if (!(error instanceof ChainClientError)) throw error;
        return { address, problem: error.message, exitCode: error.exitCode };
      }
    }),
  );
  const info = {
    chainId: chain.chainId,
    groupId: chain.groupId,
    suite: chain.suite.name,
    genesis: hex(chain.genesisHash),
    sealers: chain.sealers,
    quorum: chain.quorum,
    nodes: nodes.map(({ exitCode: _, ...node }) => node),
  };
  printData(options, info, () =>
    [
      `chain ${info.chainId} group ${info.groupId} (${info.suite === "sm" ? "SM2, SM3" : "secp256k1, Keccak-256"})`,
      `genesis ${info.genesis}`,
      `${chain.sealers.length} sealers, ${chain.quorum} of them sign a block`,
      "",
      table(
        ["NODE", "SEALER", "CONNECTED", "BLOCK", "HASH"],
        nodes.map((node) =>
          "problem" in node
            ? [node.address, "-", "-", "-", "-"]
            : [
                node.address,
                node.sealer < 0 ? "none" : String(node.sealer),
                String(node.connected),
                String(node.head.number),
                node.head.hash,
              ],
        ),
      ),
    ].join("\n"),
  );
  for (const node of nodes) if ("problem" in node) tell(node.problem);
  // A script learns from the exit code that a node is away, or worse.
  process.exitCode = Math.max(exitCodes.done, ...nodes.map((node) => ("exitCode" in node ? node.exitCode : 0)));
}

/** `chain set`. */
export async function runSet(key: string, value: string, options: BytesOptions): Promise<void> {
  const operation = {
    kind: "set",
    key: bytesOf(key, options, "the key", 1, maxKeyBytes),
    value: bytesOf(value, options, "the value", 0, maxValueBytes),
  } as const;
  await using opened = await openClient(filesOf(options));
  const receipt = await sent(opened.client, operation);
  printReceipt(options, receipt, opened.chain.quorum);
  if (receipt.status !== receiptStatus.done) process.exitCode = exitCodes.refused;
}

/** `chain get`: by a transaction whose receipt proves the value, or with `--unproved` as one node says. */
export async function runGet(key: string, options: BytesOptions & { readonly unproved?: true }): Promise<void> {
  const asked = bytesOf(key, options, "the key", 1, maxKeyBytes);
  await using opened = await openClient(filesOf(options), options.unproved !== true);
  const receipt = options.unproved === true ? undefined : await sent(opened.client, { kind: "get", key: asked });
  const value =
    receipt === undefined ? await opened.client.get(asked) : receipt.status === 0 ? receipt.output : undefined;
  if (value === undefined)
    throw new CommandFailure(
      exitCodes.other,
      `the contract has no entry ${key}`,
      "set one: strongroom chain set KEY VALUE",
    );
  const proved =
    receipt === undefined ? {} : { blockNumber: receipt.height, transactionHash: hex(receipt.transactionHash) };
  printData(options, { key: hex(asked), value: hex(value), proved: receipt !== undefined, ...proved }, () =>
    options.hex === true ? hex(value) : textOrHex(value),
  );
}

/** `chain receipt`. */
export async function runReceipt(text: string, options: ClientOptions): Promise<void> {
  const hash = /^(?:0x)?([0-9a-fA-F]{64})$/.exec(text)?.[1];
  if (hash === undefined)
    throw new CommandFailure(exitCodes.usage, "a transaction's hash is 0x and 64 hexadecimal digits");
  await using opened = await openClient(filesOf(options), false);
  printReceipt(options, await opened.client.receipt(Buffer.from(hash, "hex")), opened.chain.quorum);
}

type Client = Awaited<ReturnType<typeof openClient>>["client"];

/** Signs, sends and checks the proof. A transaction of unknown outcome is named, so that its receipt can be asked for. */
async function sent(client: Client, operation: Parameters<Client["sign"]>[0]): Promise<ProvedReceipt> {
  const transaction = await client.sign(operation);
  try {
    return await client.send(transaction);
  } catch (error) {
    if (!(error instanceof ChainClientError)) throw error;
    throw new CommandFailure(
      exitCodeFor(error),
      `transaction ${hex(transaction.hash)}: ${error.message}`,
      `whether a block holds it: strongroom chain receipt ${hex(transaction.hash)}`,
    );
  }
}

function exitCodeFor({ exitCode }: ChainClientError): (typeof exitCodes)[keyof typeof exitCodes] {
  return Object.values(exitCodes).find((code) => code === exitCode) ?? exitCodes.other;
}

const statusMeaning: Readonly<Record<number, string>> = {
  [receiptStatus.stateFull]: "the chain has no room for more entries",
  [receiptStatus.keyNotFound]: "no such entry",
};

function printReceipt(options: OutputOptions, receipt: ProvedReceipt, quorum: number): void {
  const data = {
    transactionHash: hex(receipt.transactionHash),
    status: receipt.status,
    blockNumber: receipt.height,
    blockHash: hex(receipt.blockHash),
    transactionIndex: receipt.index,
    output: hex(receipt.output),
  };
  printData(options, data, () =>
    [
      `transaction ${data.transactionHash}`,
      `status ${data.status}${receipt.status === receiptStatus.done ? "" : ` (${statusMeaning[receipt.status]})`}`,
      `block ${data.blockNumber} ${data.blockHash}, signed by at least ${quorum} sealers`,
      ...(receipt.output.length === 0 ? [] : [`output ${textOrHex(receipt.output)}`]),
    ].join("\n"),
  );
}

function bytesOf(
  text: string,
  { hex: isHex }: BytesOptions,
  what: string,
  leastBytes: number,
  mostBytes: number,
): Buffer {
  if (isHex === true && !/^(?:0x)?(?:[0-9a-fA-F]{2})*$/.test(text))
    throw new CommandFailure(exitCodes.usage, `${what} is not hexadecimal`);
  const bytes = isHex === true ? Buffer.from(text.replace(/^0x/, ""), "hex") : Buffer.from(text, "utf8");
  if (bytes.length < leastBytes || bytes.length > mostBytes)
    throw new CommandFailure(exitCodes.usage, `${what} has ${leastBytes} to ${mostBytes} bytes, not ${bytes.length}`);
  return bytes;
}

/** Printable text as it is; anything else in hexadecimal. */
function textOrHex(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  const isText = Buffer.from(text, "utf8").equals(bytes) && !/\p{C}/u.test(text);
  return isText ? text : hex(bytes);
}

function hex(bytes: Buffer): string {
  return `0x${bytes.toString("hex")}`;
}
