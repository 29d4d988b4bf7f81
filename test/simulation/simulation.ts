import assert from "node:assert/strict";
import type { ReplicaSettings } from "../../src/chain/consensus/settings.ts";
import { proofHolds } from "../../src/chain/consensus/vote.ts";
import type { FinalBlock } from "../../src/chain/ledger/types.ts";
import { cheat } from "./cheat.ts";
import { type NodeFaults, SimulatedNode } from "./node.ts";
import { SeededRandom } from "./random.ts";
import { Schedule } from "./schedule.ts";
import type { TestChain } from "./sealers.ts";
import { numberedSet } from "./transactions.ts";

export interface SimulationOptions {
  readonly test: TestChain;
  readonly seed: number;
  /** How long the network and the nodes fail, in virtual milliseconds. */
  readonly chaosMs: number;
  /** The sealer that cheats; at most one of four. */
  readonly cheater?: number;
}

export interface SimulationResult {
  readonly heightAfterChaos: number;
  readonly height: number;
  readonly evidence: number;
  readonly crashes: number;
  /** How often the key manager was away. */
  readonly outages: number;
  /** How many nodes have lost their store once. */
  readonly lostStores: number;
  readonly highestView: number;
}

const settings: ReplicaSettings = {
  blockTimeMs: 150,
  viewTimeoutMs: 500,
  resendMs: 250,
  syncTimeoutMs: 300,
  blockTransactions: 20,
  clockDriftMs: 30_000,
};
/** After healing, this much virtual time is enough for the longest view time and some more. */
const healedMs = 240_000;
const blocksAfterHealing = 4;

/**
 * One run: first a network that loses, delays, doubles, reorders and parts, nodes that crash and restart, devices that fail, a
 * key manager that is away; then all is well. At each block that any honest node decides: no other block at that height. At the end: new blocks, the same
 * everywhere.
 */
export class Simulation {
  readonly #options: SimulationOptions;
  readonly #random: SeededRandom;
  readonly #schedule: Schedule;
  readonly #nodes: readonly SimulatedNode[];
  readonly #faults: NodeFaults = { signFailure: 0.02, keyManagerAway: false };
  readonly #decided = new Map<number, string>();
  /** Nodes reach each other when their numbers are equal. */
  #islands: number[];
  #loss: number;
  #mostDelayMs: number;
  #isChaos = true;
  #sent = 0;
  #crashes = 0;
  #outages = 0;
  #lostStores = 0;
  #highestView = 0;

  constructor(options: SimulationOptions) {
    const { test, seed } = options;
    this.#options = options;
    this.#random = new SeededRandom(seed);
    this.#schedule = new Schedule(test.chain.genesisHeader.timestampMs + 1000);
    this.#islands = test.chain.sealers.map(() => 0);
    this.#loss = this.#random.chance(0.3) ? 0 : this.#random.next() * 0.3;
    this.#mostDelayMs = this.#random.between(5, 300);
    const world = {
      test,
      schedule: this.#schedule,
      random: this.#random,
      settings,
      faults: this.#faults,
      send: (from: number, to: number | "all", bytes: Buffer) => this.#send(from, to, bytes),
      decided: (node: number, block: FinalBlock) => this.#onDecided(node, block),
    };
    this.#nodes = test.chain.sealers.map((_, index) => new SimulatedNode(world, index));
  }

  async run(): Promise<SimulationResult> {
    for (const node of this.#nodes) await node.start();
    this.#submitForever();
    this.#disturb();
    const { nowMs } = this.#schedule;
    await this.#schedule.run(nowMs + this.#options.chaosMs, () => false);
    const heightAfterChaos = this.#decided.size;
    await this.#heal();
    const goal = heightAfterChaos + blocksAfterHealing;
    const isDone = (): boolean => this.#honest().every((node) => node.height >= goal);
    const progressed = await this.#schedule.run(this.#schedule.nowMs + healedMs, isDone);
    const where = this.#nodes.map((node) => `${node.height}/${node.view}${node.halted ?? ""}`).join(" ");
    assert.ok(progressed, `no progress after healing at ${goal}: heights and views ${where}`);
    return {
      heightAfterChaos,
      height: this.#decided.size,
      evidence: Math.max(...this.#nodes.map((node) => node.evidence)),
      crashes: this.#crashes,
      outages: this.#outages,
      lostStores: this.#lostStores,
      highestView: this.#highestView,
    };
  }

  #honest(): SimulatedNode[] {
    return this.#nodes.filter((node) => node.index !== this.#options.cheater);
  }

  #onDecided(node: number, block: FinalBlock): void {
    if (node === this.#options.cheater) return;
    const { height } = block.header;
    const hash = block.hash.toString("hex");
    const other = this.#decided.get(height) ?? hash;
    assert.equal(hash, other, `node ${node} has another block at height ${height} than others`);
    assert.ok(proofHolds(this.#options.test.chain, block), `block ${height} of node ${node} has no proof`);
    this.#decided.set(height, hash);
    this.#highestView = Math.max(this.#highestView, block.proof.view);
  }

  #send(from: number, to: number | "all", bytes: Buffer): void {
    const receivers = this.#nodes
      .map((node) => node.index)
      .filter((node) => node !== from && (to === "all" || to === node));
    const { test, cheater } = this.#options;
    const frames =
      from === cheater
        ? cheat(test, this.#random, from, bytes, receivers)
        : receivers.map((receiver) => ({ to: receiver, bytes }));
    for (const frame of frames) {
      if (this.#islands[from] !== this.#islands[frame.to]) continue;
      if (this.#isChaos && this.#random.chance(this.#loss)) continue;
      const copies = this.#isChaos && this.#random.chance(0.05) ? 2 : 1;
      for (let copy = 0; copy < copies; copy++)
        this.#schedule.after(this.#random.between(1, this.#mostDelayMs), () =>
          this.#nodes[frame.to]?.handle({ kind: "message", from, bytes: frame.bytes }),
        );
    }
  }

  #submitForever(): void {
    this.#sent += 1;
    const height = Math.max(...this.#nodes.map((node) => node.height));
    const bytes = numberedSet(this.#options.test, this.#sent, { blockLimit: Math.max(0, height) + 300 });
    const up = this.#honest().filter((node) => node.isUp);
    up[this.#random.between(0, up.length - 1)]?.submit(bytes);
    this.#schedule.after(this.#random.between(20, 250), () => this.#submitForever());
  }

  /** Every now and then something breaks or comes back. */
  #disturb(): void {
    if (!this.#isChaos) return;
    const kind = this.#random.between(0, 9);
    const node = this.#nodes[this.#random.between(0, this.#nodes.length - 1)];
    if (kind <= 2) this.#islands = this.#islands.map(() => this.#random.between(0, 1));
    else if (kind <= 4) this.#islands = this.#islands.map(() => 0);
    else if (kind <= 7 && node !== undefined) this.#crash(node);
    else if (kind === 8) for (const other of this.#nodes) this.#crash(other);
    else if (kind === 9) this.#loseKeyManager();
    this.#schedule.after(this.#random.between(100, 2500), () => this.#disturb());
  }

  #crash(node: SimulatedNode): void {
    if (!node.isUp) return;
    node.crash();
    this.#crashes += 1;
    // One node, and none beside a cheater: it is as good as a faulty one for what it has forgotten.
    if (this.#options.cheater === undefined && this.#lostStores === 0 && this.#random.chance(0.2)) {
      node.loseStore();
      this.#lostStores += 1;
    }
    this.#schedule.after(this.#random.between(50, 4000), () => (node.isUp ? undefined : node.start()));
  }

  #loseKeyManager(): void {
    this.#faults.keyManagerAway = true;
    this.#outages += 1;
    this.#schedule.after(this.#random.between(100, 8000), () => {
      this.#faults.keyManagerAway = false;
    });
  }

  async #heal(): Promise<void> {
    this.#isChaos = false;
    this.#mostDelayMs = 20;
    this.#faults.signFailure = 0;
    this.#faults.keyManagerAway = false;
    this.#islands = this.#islands.map(() => 0);
    for (const node of this.#nodes) if (!node.isUp) await node.start();
  }
}
