/** Four nodes whose keys are in cipher cards, as the demo builds, drives and reads them. */
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { readGenesis } from "../../../src/chain/build/genesis-reader.ts";
import type { Chain } from "../../../src/chain/ledger/genesis.ts";
import type { DigestSigner } from "../../../src/chain/ledger/signer.ts";
import type { Transaction } from "../../../src/chain/ledger/types.ts";
import { chainOf } from "../../../src/chain/node/chain-of.ts";
import { type OpenAccount, openAccount } from "../../../src/chain/sdk/open-account.ts";
import type { ProvedReceipt } from "../../../src/chain/sdk/receipt-proof.ts";
import { readSdkConfig } from "../../../src/chain/sdk-config.ts";
import type { Stage } from "../stage.ts";
import { accountKeyIndex, type CardNode } from "./card-node.ts";
import { blocksOf, type LedgerBlock } from "./ledgers.ts";
import { type Ran, run, until } from "./shell.ts";

const buildScript = join(import.meta.dirname, "../../../bin/build_chain.sh");

export interface Ports {
  readonly p2p: number;
  readonly rpc: number;
}

export interface ChainPlan {
  readonly stage: Stage;
  /** The working folder; `pin`, `nodeKeyDir` and `tokens` are in it. */
  readonly work: string;
  readonly nodes: readonly CardNode[];
  readonly ports: Ports;
  readonly server: string;
}

export interface Mined {
  readonly transactions: number;
  readonly blocks: number;
  readonly proposers: readonly number[];
}

export class CardChain {
  readonly chain: Chain;
  readonly nodes: readonly CardNode[];
  readonly #stage: Stage;
  readonly #work: string;
  #sent = 0;

  private constructor({ stage, work, nodes }: ChainPlan, chain: Chain) {
    this.chain = chain;
    this.nodes = nodes;
    this.#stage = stage;
    this.#work = work;
  }

  /** Builds the chain by the tutorial's line, enrols its nodes, and names each node's own card. */
  static async build(plan: ChainPlan): Promise<CardChain> {
    const { stage, work, nodes, ports, server } = plan;
    const [first] = nodes;
    if (first === undefined) throw new RangeError("a chain has nodes");
    const line = `build_chain.sh -l 127.0.0.1:${nodes.length} -p ${ports.p2p},${ports.rpc} -s -H -n nodeKeyDir/`;
    const machine = ["--key-index", nodes.map(({ keyIndex }) => keyIndex).join(), "--pin-file", "pin"];
    const library = ["--hsm-lib-path", first.card.library];
    const protection = ["--server", server, "--key", "alias/nodes", "--token-dir", "tokens"];
    const all = [...line.split(" "), ...machine, ...library, ...protection];
    const { exitCode, stderr } = await run(stage, work, all, buildScript);
    if (exitCode !== 0) throw new Error(`build_chain.sh ended with ${exitCode}\n${stderr}`);
    for (const node of nodes) node.useOwnCard();
    return new CardChain(plan, chainOf(readGenesis(join(first.folder, "config.genesis"))));
  }

  /** The first of two series of `count` ports on loopback that nothing listens on. */
  static async freePorts(count: number): Promise<Ports> {
    for (;;) {
      const p2p = 20_000 + Math.floor(Math.random() * 10_000);
      const ports = Array.from({ length: 2 * count }, (_, index) => p2p + index);
      if ((await Promise.all(ports.map(isFree))).every(Boolean)) return { p2p, rpc: p2p + count };
    }
  }

  node(index: number): CardNode {
    const node = this.nodes[index];
    if (node === undefined) throw new RangeError(`there is no node ${index}`);
    return node;
  }

  /** Runs a script of the host's folder. */
  script(name: "start_all.sh" | "stop_all.sh"): Promise<Ran> {
    return run(this.#stage, this.#work, ["bash", join(this.#work, "nodes/127.0.0.1", name)]);
  }

  /** Opens the client's account in node0's card, by a config.toml as the java-sdk reads it. */
  async openAccount(): Promise<OpenAccount> {
    const path = join(this.#work, "config.toml");
    const { card, rpcPort } = this.node(0);
    const machine = `enableHsm = "true"\nhsmLibPath = "${card.library}"\nhsmKeyIndex = "${accountKeyIndex}"\nhsmPasswordFile = "pin"`;
    const network = `[network]\ndefaultGroup = "group0"\npeers = ["127.0.0.1:${rpcPort}"]`;
    writeFileSync(path, `[cryptoMaterial]\nuseSMCrypto = "true"\ndisableSsl = "true"\n${machine}\n\n${network}\n`);
    return await openAccount(readSdkConfig(path));
  }

  /** Sends one transaction by node0 and waits for its proved receipt. */
  async mine(account: DigestSigner): Promise<ProvedReceipt> {
    const transaction = await this.send(account);
    return await until("the transaction has its block", () => this.receipt(transaction));
  }

  /** Sends one transaction by node0; whether it comes into a block, {@link receipt} says. */
  async send(account: DigestSigner): Promise<Transaction> {
    this.#sent += 1;
    const client = this.node(0).client(this.chain, account);
    const key = Buffer.from(`asset-${this.#sent}`);
    const transaction = await client.sign({ kind: "set", key, value: Buffer.from(String(this.#sent)) });
    // The node answers when the block is there, or after half a minute that it is not.
    void client
      .send(transaction)
      .catch(() => {})
      .finally(() => client[Symbol.dispose]());
    return transaction;
  }

  /** @throws {ChainClientError} `REFUSED` while no block holds the transaction. */
  async receipt(transaction: Transaction): Promise<ProvedReceipt> {
    using client = this.node(0).client(this.chain);
    return await client.receipt(transaction.hash);
  }

  /** Mines one transaction after the other until each of `sealers` has proposed a block. */
  async mineUntilProposedBy(account: DigestSigner, sealers: readonly number[]): Promise<Mined> {
    const from = (await this.node(0).height(this.chain)) + 1;
    const before = this.#sent;
    return await until(`each of nodes ${sealers.join(", ")} has proposed a block`, async () => {
      await this.mine(account);
      const blocks = await blocksOf(this.chain, this.node(0).rpcPort, from);
      const proposers = [...new Set(blocks.map(({ proposer }) => proposer))].sort();
      if (!sealers.every((each) => proposers.includes(each))) return undefined;
      return { transactions: this.#sent - before, blocks: blocks.length, proposers };
    });
  }

  /** Waits until every node is at one height, and answers with it. */
  async sameHeight(): Promise<number> {
    return await until("every node is at the same height", async () => {
      const [first, ...others] = await Promise.all(this.nodes.map((node) => node.height(this.chain)));
      return first !== undefined && others.every((each) => each === first) ? first : undefined;
    });
  }

  blocksOf(node: CardNode, fromHeight = 1): Promise<LedgerBlock[]> {
    return blocksOf(this.chain, node.rpcPort, fromHeight);
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
