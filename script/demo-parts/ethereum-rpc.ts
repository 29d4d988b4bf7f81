/** A client of an Ethereum node's JSON-RPC door on loopback: the few calls that the demo makes. */
import { setTimeout as sleep } from "node:timers/promises";

/** What is read of a block. */
export interface Block {
  readonly height: number;
  readonly hash: string;
  readonly parentHash: string;
  /** Unix time in seconds. */
  readonly timestamp: number;
  /** Hashes of its transactions. */
  readonly transactions: readonly string[];
}

/** What is read of a mined transaction. */
export interface MinedTransaction {
  readonly hash: string;
  readonly blockHeight: number;
  readonly blockHash: string;
  /** The data field, `0x` and hexadecimal. */
  readonly data: string;
}

/** The node answered with an error object; `code` is JSON-RPC's. */
export class RpcRefusal extends Error {
  override readonly name = "RpcRefusal";
  readonly code: number;

  constructor(method: string, code: number, message: string) {
    super(`${method}: ${message} (${code})`);
    this.code = code;
  }
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

const callTimeoutMs = 10_000;
const absent = /unknown block|greater than|not found in DB/i;

/** JSON-RPC 2.0 over HTTP to `127.0.0.1:port`, one call a request. */
export class EthereumRpc {
  readonly #url: string;
  #id = 0;

  constructor(port: number) {
    this.#url = `http://127.0.0.1:${port}/`;
  }

  /** Height of the node's newest block. */
  async blockNumber(): Promise<number> {
    return quantity(await this.call("eth_blockNumber"));
  }

  async chainId(): Promise<number> {
    return quantity(await this.call("eth_chainId"));
  }

  /** The block at `height`, or undefined while the node has none there. */
  async getBlock(height: number): Promise<Block | undefined> {
    const block = await this.#lookup("eth_getBlockByNumber", `0x${height.toString(16)}`, false);
    if (block === null) return undefined;
    const hashes = field(block, "transactions");
    if (!Array.isArray(hashes)) throw new TypeError("a block's transactions are not a list");
    return {
      height: quantity(field(block, "number")),
      hash: text(field(block, "hash")),
      parentHash: text(field(block, "parentHash")),
      timestamp: quantity(field(block, "timestamp")),
      transactions: hashes.map(text),
    };
  }

  /** The transaction once it is in a block the node has executed, else undefined. */
  async getTransaction(hash: string): Promise<MinedTransaction | undefined> {
    const found = await this.#lookup("eth_getTransactionByHash", hash);
    if (found === null) return undefined;
    return {
      hash: text(field(found, "hash")),
      blockHeight: quantity(field(found, "blockNumber")),
      blockHash: text(field(found, "blockHash")),
      data: text(field(found, "input")),
    };
  }

  /** Transactions sent from `address` up to the newest block: the next one's nonce. */
  async transactionCount(address: string): Promise<number> {
    return quantity(await this.call("eth_getTransactionCount", address, "latest"));
  }

  /** Balance in wei at the newest block. */
  async balance(address: string): Promise<bigint> {
    return BigInt(text(await this.call("eth_getBalance", address, "latest")));
  }

  /**
   * Hands over a signed transaction; its hash. A node that follows another takes none until it knows how high the chain is.
   *
   * @param patienceMs - How long to try again while the node says so.
   */
  async sendRawTransaction(signed: Uint8Array, patienceMs = 180_000): Promise<string> {
    return await this.#until(patienceMs, "the node to know the chain's height", async () => {
      try {
        return text(await this.call("eth_sendRawTransaction", `0x${Buffer.from(signed).toString("hex")}`));
      } catch (error) {
        if (error instanceof RpcRefusal && error.message.includes("not aware of the current chain height"))
          return undefined;
        throw error;
      }
    });
  }

  /** How many peers the node is connected to. */
  async peers(): Promise<number> {
    return quantity(await this.call("net_peerCount"));
  }

  /** Waits until the newest block is at least `height`; its height. @throws {Error} After `timeoutMs`. */
  async waitForHeight(height: number, timeoutMs: number): Promise<number> {
    let seen = -1;
    return await this.#until(timeoutMs, `height ${height}`, async () => {
      seen = await this.blockNumber();
      return seen >= height ? seen : undefined;
    });
  }

  /** Waits until at least `count` peers are connected. @throws {Error} After `timeoutMs`. */
  async waitForPeers(count: number, timeoutMs: number): Promise<void> {
    await this.#until(timeoutMs, `${count} peers`, async () => ((await this.peers()) >= count ? true : undefined));
  }

  /** Waits until the node has executed the block that holds the transaction. @throws {Error} After `timeoutMs`. */
  async waitForTransaction(hash: string, timeoutMs: number): Promise<MinedTransaction> {
    return await this.#until(timeoutMs, `transaction ${hash}`, () => this.getTransaction(hash));
  }

  /**
   * One call. @throws {RpcRefusal} On an error answer. @throws {Error} When the node can't be reached in 10 seconds.
   */
  async call(method: string, ...params: readonly Json[]): Promise<Json> {
    this.#id += 1;
    const response = await fetch(this.#url, {
      method: "POST",
      headers: { "content-type": "application/json", connection: "close" },
      body: JSON.stringify({ jsonrpc: "2.0", id: this.#id, method, params }),
      signal: AbortSignal.timeout(callTimeoutMs),
    });
    const answer = (await response.json()) as Json;
    const error = field(answer, "error");
    if (error !== null) {
      const code = field(error, "code");
      throw new RpcRefusal(method, typeof code === "number" ? code : 0, String(field(error, "message")));
    }
    return field(answer, "result");
  }

  /** A call whose answer is null for what is not there. */
  async #lookup(method: string, ...params: readonly Json[]): Promise<Json> {
    try {
      return await this.call(method, ...params);
    } catch (error) {
      // EthereumJS refuses an unknown block, and a transaction whose receipt is written a moment before its block.
      if (error instanceof RpcRefusal && absent.test(error.message)) return null;
      throw error;
    }
  }

  async #until<T>(timeoutMs: number, what: string, attempt: () => Promise<T | undefined>): Promise<T> {
    const endsAt = performance.now() + timeoutMs;
    for (;;) {
      const result = await attempt();
      if (result !== undefined) return result;
      if (performance.now() > endsAt) throw new Error(`${this.#url}: no ${what} within ${timeoutMs} ms`);
      await sleep(100);
    }
  }
}

function field(value: Json, name: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new TypeError(`expected an object with the field ${name}`);
  return (value as { readonly [name: string]: Json })[name] ?? null;
}

function text(value: Json): string {
  if (typeof value !== "string") throw new TypeError("expected a string");
  return value;
}

function quantity(value: Json): number {
  if (typeof value !== "string" || !/^0x[0-9a-f]{1,13}$/.test(value)) throw new TypeError("expected a quantity");
  return Number.parseInt(value, 16);
}
