import { randomBytes } from "node:crypto";
import { z } from "zod";
import type { Chain } from "../ledger/genesis.ts";
import { blockLimitRange } from "../ledger/seen-transactions.ts";
import type { DigestSigner } from "../ledger/signer.ts";
import { signTransaction } from "../ledger/transaction.ts";
import type { Operation, Transaction } from "../ledger/types.ts";
import { checkHeader, type ProvedHeader } from "./block-proof.ts";
import { ChainClientError } from "./errors.ts";
import { checkReceiptProof, type ProvedReceipt } from "./receipt-proof.ts";
import { RpcConnection, type RpcEndpoint } from "./rpc-connection.ts";

export interface ChainClientOptions {
  /** The chain's genesis: what proofs are checked against. */
  readonly chain: Chain;
  readonly endpoint: RpcEndpoint;
  /** Signs transactions: a key file, or a cipher machine. Not needed for reading. */
  readonly account?: DigestSigner;
}

/** How long a transaction may wait for its block, in blocks. FISCO BCOS's clients take 500. */
const blockLimitAhead = Math.min(500, blockLimitRange);

const heightAgeMs = 5000;
/** A node waits 30 s for a transaction's block, and then says that there is none yet. */
const blockWaitMs = 40_000;

const nodeId = z.string().regex(/^[0-9a-f]{128}$/);
const peersShape = z.object({
  p2pNodeID: nodeId,
  peers: z.array(z.object({ p2pNodeID: nodeId })).max(100),
});

/** A client of one node. It signs its transactions itself, and believes receipts by their proofs only. */
export class ChainClient implements Disposable {
  readonly #chain: Chain;
  readonly #rpc: RpcConnection;
  readonly #account: DigestSigner | undefined;
  #height: { readonly askedAtMs: number; readonly answer: Promise<number> } | undefined;

  constructor({ chain, endpoint, account }: ChainClientOptions) {
    this.#chain = chain;
    this.#rpc = new RpcConnection(endpoint);
    this.#account = account;
  }

  /** Height of the node's last block, as the node says. */
  async blockNumber(): Promise<number> {
    const height = await this.#rpc.call("getBlockNumber", [this.#chain.groupId, ""]);
    if (typeof height !== "number" || !Number.isSafeInteger(height) || height < 0)
      throw new ChainClientError("ANSWER_INVALID", "the node's block number is no height");
    return height;
  }

  /**
   * The header of a block, its sealers' signatures checked.
   *
   * @throws {ChainClientError} `REFUSED` for a height that the node does not have; `PROOF_REFUSED`, `ANSWER_INVALID`, `UNREACHABLE`.
   */
  async header(height: number): Promise<ProvedHeader> {
    return checkHeader(
      this.#chain,
      height,
      await this.#rpc.call("getBlockByNumber", [this.#chain.groupId, "", height, true]),
    );
  }

  /** Header of the node's last block, its sealers' signatures checked. A node may be behind the others, or say that it is. */
  async head(): Promise<ProvedHeader> {
    return this.header(await this.blockNumber());
  }

  /** Ids of the node that answers and of those that it is connected to, as it says. */
  async peers(): Promise<{ readonly nodeId: string; readonly connected: readonly string[] }> {
    const answer = peersShape.safeParse(await this.#rpc.call("getPeers", []));
    if (!answer.success) throw new ChainClientError("ANSWER_INVALID", "the node's answer is no list of peers");
    return { nodeId: answer.data.p2pNodeID, connected: answer.data.peers.map(({ p2pNodeID }) => p2pNodeID) };
  }

  /** The contract's value of a key as this one node says, without a proof; {@link provedGet} has one. */
  async get(key: Buffer): Promise<Buffer | undefined> {
    const answer = await this.#rpc.call("get", [this.#chain.groupId, "", hex(key)]);
    if (typeof answer !== "object" || answer === null || !("status" in answer) || !("output" in answer))
      throw new ChainClientError("ANSWER_INVALID");
    const { status, output } = answer;
    if (typeof output !== "string" || !/^0x(?:[0-9a-f]{2})*$/.test(output) || (status !== 0 && status !== 16))
      throw new ChainClientError("ANSWER_INVALID", "the node's answer is no value");
    return status === 16 ? undefined : Buffer.from(output.slice(2), "hex");
  }

  /**
   * Sets a key. Resolves once a block holds the transaction and a quorum's signatures over that block have been checked. Status 12 in
   * the receipt: the chain's state is full, and the key was not set.
   */
  set(key: Buffer, value: Buffer): Promise<ProvedReceipt> {
    return this.transact({ kind: "set", key, value });
  }

  /** Reads a key by a transaction: the receipt proves the value as it stood in its block. */
  async provedGet(key: Buffer): Promise<Buffer | undefined> {
    const { status, output } = await this.transact({ kind: "get", key });
    return status === 0 ? output : undefined;
  }

  /**
   * Signs and sends a transaction, and checks the receipt's proof.
   *
   * @throws {ChainClientError} `REFUSED`, `UNREACHABLE`, `ANSWER_INVALID`, `PROOF_REFUSED`. After `UNREACHABLE` the transaction
   *   may still come into a block.
   * @throws {TypeError} Without an account.
   */
  async transact(operation: Operation): Promise<ProvedReceipt> {
    return this.send(await this.sign(operation));
  }

  /**
   * A signed transaction that has not been sent. It may stand in one of the 500 blocks after the last one that the node has proved:
   * a node that claims a greater height does not get a transaction to hold back. Errors as {@link transact}.
   */
  async sign(operation: Operation): Promise<Transaction> {
    if (this.#account === undefined) throw new TypeError("the client has no account to sign with");
    const { suite, chainId, groupId, genesisHash } = this.#chain;
    const blockLimit = (await this.#recentHeight()) + blockLimitAhead;
    const nonce = randomBytes(32);
    return signTransaction(suite, this.#account, { chainId, groupId, genesisHash, nonce, blockLimit, operation });
  }

  /** Sends a signed transaction. Errors as {@link transact}. */
  async send({ hash, encoded }: Transaction): Promise<ProvedReceipt> {
    const params = [this.#chain.groupId, "", hex(encoded), true];
    const answer = await this.#rpc.call("sendTransaction", params, blockWaitMs);
    return checkReceiptProof(this.#chain, hash, answer);
  }

  /** The receipt of a transaction that a block holds, with its proof checked. */
  async receipt(transactionHash: Buffer): Promise<ProvedReceipt> {
    const params = [this.#chain.groupId, "", hex(transactionHash), true];
    return checkReceiptProof(this.#chain, transactionHash, await this.#rpc.call("getTransactionReceipt", params));
  }

  /** Asked for once in a while only: a block limit need not be exact. */
  #recentHeight(): Promise<number> {
    const nowMs = performance.now();
    if (this.#height !== undefined && nowMs - this.#height.askedAtMs < heightAgeMs) return this.#height.answer;
    const height = { askedAtMs: nowMs, answer: this.head().then(({ header }) => header.height) };
    this.#height = height;
    height.answer.catch(() => {
      if (this.#height === height) this.#height = undefined;
    });
    return height.answer;
  }

  [Symbol.dispose](): void {
    this.#rpc[Symbol.dispose]();
  }
}

function hex(bytes: Buffer): string {
  return `0x${bytes.toString("hex")}`;
}
