/**
 * A process of the chain's bench: signs transactions, sends them at a steady rate whatever the answers do, and then reads from
 * the chain what became of them. Its parent sends an order, then anything to begin.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { readGenesis } from "../../src/chain/build/genesis-reader.ts";
import type { Chain } from "../../src/chain/ledger/genesis.ts";
import { signTransaction } from "../../src/chain/ledger/transaction.ts";
import type { Transaction } from "../../src/chain/ledger/types.ts";
import { chainOf } from "../../src/chain/node/chain-of.ts";
import { SoftSigner } from "../../src/chain/node/soft-signer.ts";
import { checkReceiptProof } from "../../src/chain/sdk/receipt-proof.ts";
import { RpcConnection } from "../../src/chain/sdk/rpc-connection.ts";
import { generateKeyPair } from "../../src/crypto/curve.ts";
import { writePrivateKey } from "../../src/crypto/pem.ts";
import type { SeenBlock } from "./blocks.ts";

export interface LoadOrder {
  /** config.genesis of the chain. */
  readonly genesisPath: string;
  readonly rpcPorts: readonly number[];
  readonly perSecond: number;
  readonly seconds: number;
}

export interface LoadReport {
  readonly sent: number;
  /** Unix time in milliseconds of the first transaction's turn, and of the end of the last one's second. */
  readonly beganMs: number;
  readonly endedMs: number;
  /** From each transaction's turn to its receipt, ascending. */
  readonly latenciesMs: readonly number[];
  /** Reasons of those without a receipt, and how often. */
  readonly failures: Readonly<Record<string, number>>;
  readonly proofsChecked: number;
  readonly blocks: readonly SeenBlock[];
  readonly cpuMs: number;
}

const accounts = 20;
const valueBytes = 64;
const callMs = 60_000;
/** Turns of the clock: the system wakes a process no finer. */
const tickMs = 5;
/** One receipt of so many is checked with its proof, after the load. */
const proofEvery = 50;

const [order] = (await once(process, "message")) as [LoadOrder];
const chain = chainOf(readGenesis(order.genesisPath));
const nodes = order.rpcPorts.map((port) => new RpcConnection({ host: "127.0.0.1", port, timeoutMs: callMs }));
const height = await headOf(chain, nodes[0]);
const transactions = await signAll(chain, order.perSecond * order.seconds, height + 500);
process.send?.("signed");
await once(process, "message");
const report = await run();
process.send?.(report);
// Its parent ends it: an end of its own could be heard of before the report.
await once(process, "disconnect");

async function signAll(chain: Chain, count: number, blockLimit: number): Promise<Transaction[]> {
  const { suite, chainId, groupId, genesisHash } = chain;
  const signers: SoftSigner[] = [];
  for (let account = 0; account < accounts; account++) {
    using scalar = generateKeyPair(suite.algorithm).scalar;
    using pem = writePrivateKey(suite.algorithm, scalar, "pkcs8");
    signers.push(await SoftSigner.ofPem(pem, suite.algorithm));
  }
  const signed: Transaction[] = [];
  while (signed.length < count)
    for (const signer of signers) {
      const operation = { kind: "set", key: randomBytes(16), value: randomBytes(valueBytes) } as const;
      const unsigned = { chainId, groupId, genesisHash, nonce: randomBytes(32), blockLimit, operation };
      if (signed.length < count) signed.push(await signTransaction(suite, signer, unsigned));
    }
  return signed;
}

async function run(): Promise<LoadReport> {
  const cpuBefore = process.cpuUsage();
  const beganMs = Date.now();
  const began = performance.now();
  const latenciesMs: number[] = [];
  const failures: Record<string, number> = {};
  const kept: { readonly hash: Buffer; readonly answer: unknown }[] = [];
  const waiting: Promise<void>[] = [];
  const turnMs = 1000 / order.perSecond;
  const send = async ({ hash, encoded }: Transaction, index: number) => {
    try {
      const parameters = [chain.groupId, "", `0x${encoded.toString("hex")}`, true];
      const answer = await nodes[index % nodes.length]?.call("sendTransaction", parameters);
      latenciesMs.push(performance.now() - (began + index * turnMs));
      if (index % proofEvery === 0) kept.push({ hash, answer });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      failures[reason] = (failures[reason] ?? 0) + 1;
    }
  };
  while (waiting.length < transactions.length) {
    const due = (performance.now() - began) / turnMs;
    for (const transaction of transactions.slice(waiting.length, Math.floor(due) + 1))
      waiting.push(send(transaction, waiting.length));
    await pause(tickMs);
  }
  const endedMs = beganMs + order.seconds * 1000;
  await Promise.all(waiting);
  const { user, system } = process.cpuUsage(cpuBefore);
  for (const { hash, answer } of kept) checkReceiptProof(chain, hash, answer);
  const blocks = await readBlocks(chain, nodes[0], height + 1, new Set(transactions.map(({ hash }) => nameOf(hash))));
  for (const node of nodes) node[Symbol.dispose]();
  latenciesMs.sort((one, other) => one - other);
  const proofsChecked = kept.length;
  const cpuMs = (user + system) / 1000;
  return { sent: waiting.length, beganMs, endedMs, latenciesMs, failures, proofsChecked, blocks, cpuMs };
}

async function headOf({ groupId }: Chain, node: RpcConnection | undefined): Promise<number> {
  return Number(await node?.call("getBlockNumber", [groupId, ""]));
}

async function readBlocks(
  chain: Chain,
  node: RpcConnection | undefined,
  from: number,
  ours: ReadonlySet<string>,
): Promise<SeenBlock[]> {
  const head = await headOf(chain, node);
  const blocks: SeenBlock[] = [];
  for (let at = from; at <= head; at++) {
    const answer = await node?.call("getBlockByNumber", [chain.groupId, "", at, false, true]);
    const { timestamp, transactions: held } = answer as { timestamp: number; transactions: string[] };
    blocks.push({ height: at, timestampMs: timestamp, transactions: held.filter((name) => ours.has(name)).length });
  }
  return blocks;
}

function nameOf(hash: Buffer): string {
  return `0x${hash.toString("hex")}`;
}
