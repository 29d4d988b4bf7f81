import assert from "node:assert/strict";
import type { ReplicaEffect, ReplicaEvent } from "../../src/chain/consensus/events.ts";
import { decodeGuardRecord, encodeGuardRecord, type GuardRecord } from "../../src/chain/consensus/guard-record.ts";
import { encodeBlocks } from "../../src/chain/consensus/message-encoding.ts";
import { Replica } from "../../src/chain/consensus/replica.ts";
import type { ReplicaSettings } from "../../src/chain/consensus/settings.ts";
import { decodeFinalBlock, encodeFinalBlock } from "../../src/chain/ledger/block.ts";
import { Ledger } from "../../src/chain/ledger/ledger.ts";
import type { FinalBlock } from "../../src/chain/ledger/types.ts";
import type { SeededRandom } from "./random.ts";
import type { Schedule } from "./schedule.ts";
import type { TestChain } from "./sealers.ts";

export interface NodeFaults {
  /** Chance that a signing request fails; half of these may have signed. */
  signFailure: number;
  /** The guard's counter is not advanced: what is on the disk does not count as stored yet. */
  keyManagerAway: boolean;
}

export interface NodeWorld {
  readonly test: TestChain;
  readonly schedule: Schedule;
  readonly random: SeededRandom;
  readonly settings: ReplicaSettings;
  readonly faults: NodeFaults;
  send(from: number, to: number | "all", bytes: Buffer): void;
  decided(node: number, block: FinalBlock): void;
}

/** An event without its time. */
type Happening = ReplicaEvent extends infer E ? (E extends { nowMs: number } ? Omit<E, "nowMs"> : never) : never;

/**
 * A sealer of the simulation: a replica, a disk, a signing device. A crash loses the replica and, by chance, what was on its
 * way to the disk; a restart begins with what was durable.
 */
export class SimulatedNode {
  readonly index: number;
  readonly #world: NodeWorld;
  readonly #blocks: Buffer[] = [];
  readonly #entries = new Map<string, Buffer>();
  #guard: Buffer[] = [];
  /** Up to here the guard has forgotten what it held. */
  #closedHeight = 0;
  /** Each slot's digest that the device was asked to sign; over all lives of the node. */
  readonly #signed = new Map<string, string>();
  /** Records whose durability the replica was told of, by id, of this life. */
  readonly #slots = new Map<number, GuardRecord>();
  #unwritten: (() => void)[] = [];
  #replica: Replica | undefined;
  #life = 0;
  submitted = 0;
  halted: string | undefined;

  constructor(world: NodeWorld, index: number) {
    this.#world = world;
    this.index = index;
  }

  get isUp(): boolean {
    return this.#replica !== undefined;
  }

  get height(): number {
    return this.#replica?.height ?? -1;
  }

  get view(): number {
    return this.#replica?.view ?? -1;
  }

  get evidence(): number {
    return this.#replica?.evidence.length ?? 0;
  }

  async start(): Promise<void> {
    const { chain } = this.#world.test;
    const ledger = await Ledger.restore(chain, {
      blocks: this.#blocks.map((encoded) => decodeFinalBlock(chain.suite, encoded)),
      entries: [...this.#entries].map(([key, value]) => ({ key: Buffer.from(key, "latin1"), value })),
    });
    this.#life += 1;
    const { settings } = this.#world;
    this.#slots.clear();
    const guard = this.#guard.map(decodeGuardRecord);
    this.#replica = new Replica({ chain, self: this.index, ledger, guard, closedHeight: this.#closedHeight, settings });
    this.handle({ kind: "start" });
  }

  crash(): void {
    this.#replica = undefined;
    this.#life += 1;
    // Writes reach the disk in their order: some of the first, none of the rest.
    const lucky = this.#world.random.between(0, this.#unwritten.length);
    for (const write of this.#unwritten.slice(0, lucky)) write();
    this.#unwritten = [];
  }

  /** Of a node that is down: its blocks are gone, and the guard holds no votes on them any more. */
  loseStore(): void {
    this.#closedHeight = Math.max(this.#closedHeight, this.#blocks.length);
    this.#guard = this.#guard.filter((encoded) => decodeGuardRecord(encoded).height > this.#closedHeight);
    this.#blocks.length = 0;
    this.#entries.clear();
  }

  submit(bytes: Buffer): void {
    this.handle({ kind: "submit", id: 1, bytes });
  }

  handle(event: Happening): void {
    if (this.#replica === undefined) return;
    const effects = this.#replica.handle({ ...event, nowMs: this.#world.schedule.nowMs });
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: ReplicaEffect): void {
    const { random } = this.#world;
    switch (effect.kind) {
      case "send":
        this.#world.send(this.index, effect.to, effect.bytes);
        break;
      case "guard":
        this.#write(
          () => this.#guard.push(encodeGuardRecord(effect.record)),
          () =>
            this.#confirm(() => {
              this.#slots.set(effect.id, effect.record);
              this.handle({ kind: "guard-stored", id: effect.id });
            }),
        );
        break;
      case "sign":
        this.#sign(effect.id, effect.digest);
        break;
      case "set-timer":
        this.#later(effect.delayMs, () => this.handle({ kind: "timer", name: effect.name, token: effect.token }));
        break;
      case "store-block": {
        const encoded = encodeFinalBlock(effect.block);
        this.#write(() => {
          this.#blocks.push(encoded);
          for (const { key, value } of effect.writes) this.#entries.set(key.toString("latin1"), value);
        });
        this.#world.decided(this.index, effect.block);
        break;
      }
      case "serve-blocks": {
        const from = effect.fromHeight - 1;
        const blocks = encodeBlocks(this.#blocks.slice(from, from + effect.count));
        this.#later(random.between(1, 5), () => this.#world.send(this.index, effect.to, blocks));
        break;
      }
      case "submitted":
        this.submitted += 1;
        break;
      case "halted":
        this.halted = effect.reason;
        break;
      default:
        break;
    }
  }

  #sign(id: number, digest: Buffer): void {
    const { random, test, faults } = this.#world;
    const record = this.#slots.get(id);
    assert.ok(record !== undefined, "a signature was asked for before its guard record was durable");
    const slot = `${record.height} ${record.view} ${record.phase}`;
    const before = this.#signed.get(slot);
    const same = before === record.digest.toString("hex");
    assert.ok(before === undefined, `node ${this.index} signs twice in slot ${slot}${same ? "" : ", different votes"}`);
    const fails = random.chance(faults.signFailure);
    const mayHaveSigned = fails && random.chance(0.5);
    if (!fails || mayHaveSigned) this.#signed.set(slot, record.digest.toString("hex"));
    const key = test.keys[this.index];
    assert.ok(key !== undefined);
    this.#later(random.between(1, 15), () => {
      if (fails) this.handle({ kind: "sign-failed", id, mayHaveSigned });
      else this.handle({ kind: "signed", id, signature: key.sign(digest) });
    });
  }

  /** Once the key manager answers. */
  #confirm(confirmed: () => void): void {
    if (!this.#world.faults.keyManagerAway) confirmed();
    else this.#later(this.#world.random.between(50, 400), () => this.#confirm(confirmed));
  }

  /** Lets it happen in this life only. */
  #later(delayMs: number, happen: () => void): void {
    const life = this.#life;
    this.#world.schedule.after(delayMs, () => {
      if (this.#life === life) happen();
    });
  }

  #write(write: () => void, written?: () => void): void {
    this.#unwritten.push(write);
    this.#later(this.#world.random.between(1, 10), () => {
      // One journal: what was asked for before is durable before.
      const at = this.#unwritten.indexOf(write);
      for (const earlier of this.#unwritten.splice(0, at + 1)) earlier();
      written?.();
    });
  }
}
