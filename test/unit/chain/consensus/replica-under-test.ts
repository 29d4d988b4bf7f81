import assert from "node:assert/strict";
import { claimDigest, type PreparedBlock } from "../../../../src/chain/consensus/certificate.ts";
import type { ReplicaEffect, ReplicaEvent, TimerName } from "../../../../src/chain/consensus/events.ts";
import type { GuardRecord } from "../../../../src/chain/consensus/guard-record.ts";
import { decodeMessage, encodeMessage } from "../../../../src/chain/consensus/message-encoding.ts";
import type { Message, Proposal, ViewChange } from "../../../../src/chain/consensus/messages.ts";
import { Replica } from "../../../../src/chain/consensus/replica.ts";
import type { Phase } from "../../../../src/chain/consensus/vote.ts";
import { Ledger } from "../../../../src/chain/ledger/ledger.ts";
import { decodeTransaction } from "../../../../src/chain/ledger/transaction.ts";
import type { Block, FinalBlock, SealerSignature } from "../../../../src/chain/ledger/types.ts";
import { signed } from "../../../simulation/cheat.ts";
import { keyedHashChain } from "../../../simulation/sealers.ts";
import { numberedSet } from "../../../simulation/transactions.ts";

/** Four sealers; at height 1 the proposer of view v is sealer (1 + v) mod 4. */
export const four = keyedHashChain(4);
export const { chain } = four;
export const nowMs = chain.genesisHeader.timestampMs + 10_000;

type Kind<K extends ReplicaEffect["kind"]> = Extract<ReplicaEffect, { kind: K }>;
type Happening = ReplicaEvent extends infer E ? (E extends { nowMs: number } ? Omit<E, "nowMs"> : never) : never;

/** One replica; the test plays the disk, the device and the other three sealers. */
export class ReplicaUnderTest {
  readonly self: number;
  readonly ledger = new Ledger(chain);
  readonly replica: Replica;
  /** Whether the disk and the device answer at once. */
  answers: boolean;
  readonly effects: ReplicaEffect[] = [];
  /** The replica's clock. */
  nowMs: number = nowMs;

  constructor(
    self: number,
    options: {
      readonly guard?: readonly GuardRecord[];
      readonly closedHeight?: number;
      readonly answers?: boolean;
    } = {},
  ) {
    this.self = self;
    this.answers = options.answers ?? true;
    const { guard = [], closedHeight = 0 } = options;
    this.replica = new Replica({ chain, self, ledger: this.ledger, guard, closedHeight });
    this.give({ kind: "start" });
  }

  give(event: Happening): void {
    for (const effect of this.replica.handle({ ...event, nowMs: this.nowMs })) {
      this.effects.push(effect);
      if (!this.answers) continue;
      if (effect.kind === "guard") this.give({ kind: "guard-stored", id: effect.id });
      if (effect.kind === "sign") this.give({ kind: "signed", id: effect.id, signature: this.signatureOf(effect) });
    }
  }

  signatureOf(effect: Kind<"sign">): Buffer {
    const key = four.keys[this.self];
    assert.ok(key !== undefined);
    return key.sign(effect.digest);
  }

  receive(from: number, message: Message): void {
    this.give({ kind: "message", from, bytes: encodeMessage(message) });
  }

  submit(number: number): void {
    this.give({ kind: "submit", id: number, bytes: numberedSet(four, number) });
  }

  fire(name: TimerName): void {
    const timer = this.of("set-timer").findLast((effect) => effect.name === name);
    assert.ok(timer !== undefined, `no ${name} timer was set`);
    this.give({ kind: "timer", name, token: timer.token });
  }

  of<K extends ReplicaEffect["kind"]>(kind: K): Kind<K>[] {
    return this.effects.filter((effect): effect is Kind<K> => effect.kind === kind);
  }

  sent<K extends Message["kind"]>(kind: K): Extract<Message, { kind: K }>[] {
    return this.of("send")
      .map(({ bytes }) => decodeMessage(chain, bytes))
      .filter((message): message is Extract<Message, { kind: K }> => message.kind === kind);
  }

  /** Phases of the votes that this replica asked the device for, with their views. */
  asked(): string[] {
    const records = new Map(this.of("guard").map(({ id, record }) => [id, `${record.phase} ${record.view}`]));
    return this.of("sign").map(({ id }) => records.get(id) ?? "unguarded");
  }

  complaints(): string[] {
    return this.of("misbehaviour").map(({ reason }) => reason);
  }
}

/** A block that may follow the genesis block. */
export function block(proposer: number, ...transactions: readonly number[]): Block {
  const decoded = transactions.map((number) => decodeTransaction(chain.suite, numberedSet(four, number)));
  return new Ledger(chain).propose(decoded, proposer, nowMs).block;
}

export function proposal(proposed: Block, view = 0, justification: readonly ViewChange[] = []): Message {
  const sealer = chain.proposerOf(1, view);
  const signature = signed(four, sealer, { height: 1, view, phase: "pre-prepare", digest: proposed.hash });
  const made: Proposal = { height: 1, view, sealer, signature, justification, block: proposed };
  return { kind: "proposal", proposal: made };
}

export function vote(sealer: number, phase: Phase, digest: Buffer, view = 0, height = 1): Message {
  const unsigned = { height, view, phase, digest };
  return { kind: "vote", vote: { ...unsigned, sealer, signature: signed(four, sealer, unsigned) } };
}

export function signatures(phase: Phase, view: number, digest: Buffer, sealers: readonly number[]): SealerSignature[] {
  return sealers.map((sealer) => ({ sealer, signature: signed(four, sealer, { height: 1, view, phase, digest }) }));
}

export function prepared(of: Block, view: number, sealers: readonly number[] = [0, 1, 2]): PreparedBlock {
  return {
    block: of,
    certificate: { view, digest: of.hash, signatures: signatures("prepare", view, of.hash, sealers) },
  };
}

export function viewChange(sealer: number, view: number, claim?: PreparedBlock): ViewChange {
  const digest = claimDigest(chain, claim?.certificate);
  const signature = signed(four, sealer, { height: 1, view, phase: "view-change", digest });
  return { height: 1, view, sealer, signature, prepared: claim?.certificate };
}

export function changing(sealer: number, view: number, claim?: PreparedBlock): Message {
  return { kind: "view-change", change: viewChange(sealer, view, claim), block: claim?.block };
}

export function final(of: Block, view = 0, sealers: readonly number[] = [0, 1, 2]): FinalBlock {
  return { ...of, proof: { view, signatures: signatures("commit", view, of.hash, sealers) } };
}
