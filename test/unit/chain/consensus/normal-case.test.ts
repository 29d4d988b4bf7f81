import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ReplicaEvent } from "../../../../src/chain/consensus/events.ts";
import { Replica } from "../../../../src/chain/consensus/replica.ts";
import { proofHolds } from "../../../../src/chain/consensus/vote.ts";
import { headerHash } from "../../../../src/chain/ledger/header.ts";
import { Ledger } from "../../../../src/chain/ledger/ledger.ts";
import type { Block } from "../../../../src/chain/ledger/types.ts";
import { keyedHash } from "../../../simulation/keyed-hash-suite.ts";
import { keyedHashChain } from "../../../simulation/sealers.ts";
import { numberedSet } from "../../../simulation/transactions.ts";
import { block, chain, nowMs, proposal, ReplicaUnderTest, vote } from "./replica-under-test.ts";

const first = block(1, 1);
const second = block(1, 2);

describe("a replica in the normal case", () => {
  it("proposes when its turn and the block time have come and a transaction waits, not before", () => {
    const replica = new ReplicaUnderTest(1);
    replica.fire("propose");
    assert.equal(replica.sent("proposal").length, 0, "nothing waits");
    replica.submit(1);
    const [sent] = replica.sent("proposal");
    assert.equal(sent?.proposal.block.transactions.length, 1);
    const early = new ReplicaUnderTest(1);
    early.submit(1);
    assert.equal(early.sent("proposal").length, 0, "not due");
    const other = new ReplicaUnderTest(2);
    other.submit(1);
    assert.ok(!other.of("set-timer").some(({ name }) => name === "propose"), "not its turn");
  });

  it("prepares a good proposal, commits with a quorum of prepares, decides with a quorum of commits", () => {
    const replica = new ReplicaUnderTest(2);
    replica.receive(1, proposal(first));
    assert.deepEqual(replica.asked(), ["prepare 0"]);
    replica.receive(1, vote(1, "prepare", first.hash));
    assert.deepEqual(replica.asked(), ["prepare 0"], "two of three");
    replica.receive(0, vote(0, "prepare", first.hash));
    assert.deepEqual(replica.asked(), ["prepare 0", "commit 0"]);
    replica.receive(1, vote(1, "commit", first.hash));
    assert.equal(replica.of("store-block").length, 0, "two of three");
    replica.receive(3, vote(3, "commit", first.hash));
    const [stored] = replica.of("store-block");
    assert.ok(stored !== undefined && proofHolds(chain, stored.block));
    assert.deepEqual([stored.block.hash, replica.replica.height], [first.hash, 1]);
    assert.deepEqual(
      stored.receipts.map(({ status }) => status),
      [0],
    );
  });

  it("counts votes that come before their proposal", () => {
    const replica = new ReplicaUnderTest(2);
    for (const sealer of [0, 1, 3]) replica.receive(sealer, vote(sealer, "prepare", first.hash));
    for (const sealer of [0, 1, 3]) replica.receive(sealer, vote(sealer, "commit", first.hash));
    assert.equal(replica.of("store-block").length, 0);
    replica.receive(1, proposal(first));
    assert.equal(replica.of("store-block").length, 1);
  });

  it("does not count a vote twice, for another sealer, with a bad signature, or as its own from outside", () => {
    const replica = new ReplicaUnderTest(2);
    replica.receive(1, proposal(first));
    const honest = vote(1, "prepare", first.hash);
    assert.ok(honest.kind === "vote");
    for (let i = 0; i < 3; i++) replica.receive(1, honest);
    replica.receive(1, { kind: "vote", vote: { ...honest.vote, sealer: 3 } });
    replica.receive(1, { kind: "vote", vote: { ...honest.vote, sealer: 9 } });
    replica.receive(1, vote(2, "prepare", first.hash));
    replica.receive(3, vote(3, "prepare", second.hash));
    replica.receive(0, vote(0, "prepare", first.hash, 0, 7));
    assert.deepEqual(replica.asked(), ["prepare 0"]);
    assert.deepEqual(replica.complaints(), ["sent a vote with a bad signature", "sent a vote with a bad signature"]);
  });

  const badProposals: readonly (readonly [string, Block, RegExp])[] = [
    ["of another's block", block(3, 1), /justification/],
    ["of a block of the future", changed(first, { timestampMs: nowMs + 31_000 }), /future/],
    ["of a block on another parent", changed(first, { parentHash: Buffer.alloc(32) }), /bad block/],
    ["of a block with a wrong state", changed(first, { stateRoot: Buffer.alloc(32) }), /bad block/],
    ["of a block of another height", changed(first, { height: 2 }), /bad block/],
  ];
  for (const [what, bad, reason] of badProposals)
    it(`does not vote for a proposal ${what}`, () => {
      const replica = new ReplicaUnderTest(2);
      replica.receive(1, proposal(bad));
      assert.deepEqual(replica.asked(), []);
      assert.match(replica.complaints().join(), reason);
    });

  it("does not vote for a proposal out of turn, or one whose signature is not its proposer's", () => {
    const replica = new ReplicaUnderTest(2);
    const honest = proposal(first);
    assert.ok(honest.kind === "proposal");
    replica.receive(3, { kind: "proposal", proposal: { ...honest.proposal, sealer: 3 } });
    const signature = Buffer.alloc(64, 1);
    replica.receive(1, { kind: "proposal", proposal: { ...honest.proposal, signature } });
    assert.deepEqual(replica.asked(), []);
    assert.deepEqual(replica.complaints(), ["proposed out of turn", "sent a vote with a bad signature"]);
  });

  it("votes for the first of two proposals only, and keeps both as evidence", () => {
    const replica = new ReplicaUnderTest(2);
    replica.receive(1, proposal(first));
    for (let i = 0; i < 3; i++) replica.receive(1, proposal(second));
    assert.deepEqual(replica.asked(), ["prepare 0"]);
    assert.equal(replica.of("equivocation").length, 1);
    const [evidence] = replica.replica.evidence;
    assert.deepEqual([evidence?.first.digest, evidence?.second.digest], [first.hash, second.hash]);
  });

  it("keeps evidence of two prepares or commits, once for each slot", () => {
    const replica = new ReplicaUnderTest(2);
    for (const phase of ["prepare", "commit"] as const)
      for (const digest of [first.hash, second.hash, Buffer.alloc(32), Buffer.alloc(32, 1)])
        replica.receive(3, vote(3, phase, digest));
    assert.equal(replica.replica.evidence.length, 2);
  });

  it("answers noise with a complaint and nothing else", () => {
    const replica = new ReplicaUnderTest(2);
    const before = replica.effects.length;
    for (const bytes of [Buffer.alloc(0), Buffer.of(99), Buffer.alloc(500, 1)])
      replica.give({ kind: "message", from: 3, bytes });
    assert.ok(replica.effects.slice(before).every(({ kind }) => kind === "misbehaviour"));
    assert.equal(replica.complaints().length, 3);
  });

  it("runs a bad block once, however often it is sent", () => {
    const replica = new ReplicaUnderTest(2);
    const bad = proposal(changed(first, { stateRoot: Buffer.alloc(32) }));
    for (let i = 0; i < 3; i++) replica.receive(1, bad);
    assert.deepEqual(replica.complaints().slice(1), ["proposed a bad block again", "proposed a bad block again"]);
  });

  it("takes a peer's transactions up to the first that no one has signed", () => {
    const replica = new ReplicaUnderTest(2);
    const [good, other] = block(1, 1, 2).transactions;
    assert.ok(good !== undefined && other !== undefined);
    const signature = Buffer.alloc(128, 1);
    const forged = { ...other, signature, encoded: Buffer.concat([other.encoded.subarray(0, -128), signature]) };
    replica.receive(0, { kind: "transactions", transactions: [good, forged, other] });
    assert.equal(replica.replica.waiting, 1);
    assert.deepEqual(replica.complaints(), ["sent a transaction that no one has signed"]);
  });

  it("tells a client why its transaction is refused", () => {
    const replica = new ReplicaUnderTest(2);
    replica.give({ kind: "submit", id: 4, bytes: Buffer.alloc(3) });
    assert.deepEqual(
      replica.of("submission-refused").map(({ id, full }) => [id, full]),
      [[4, false]],
    );
    replica.submit(1);
    replica.submit(1);
    assert.equal(replica.of("submitted").length, 2, "a repeated one waits already");
    assert.equal(replica.sent("transactions").length, 1, "and is told to the others once");
  });

  it("waits the block time from the block before, whose votes are a part of it, and never longer", () => {
    const delayAfter = (votesTookMs: number): number | undefined => {
      const replica = new ReplicaUnderTest(2);
      replica.receive(1, proposal(first));
      replica.nowMs += votesTookMs;
      for (const sealer of [0, 1, 3]) replica.receive(sealer, vote(sealer, "prepare", first.hash));
      for (const sealer of [0, 1, 3]) replica.receive(sealer, vote(sealer, "commit", first.hash));
      assert.equal(replica.replica.height, 1);
      return replica.of("set-timer").findLast(({ name }) => name === "propose")?.delayMs;
    };
    assert.equal(delayAfter(0), 1000);
    assert.equal(delayAfter(80), 920);
    assert.equal(delayAfter(1500), 0);
    assert.equal(delayAfter(-5000), 1000, "the system's clock was set back");
  });

  it("alone on its chain of one sealer decides by itself", () => {
    const one = keyedHashChain(1);
    const replica = new Replica({ chain: one.chain, self: 0, ledger: new Ledger(one.chain), guard: [] });
    const events: ReplicaEvent[] = [
      { kind: "start", nowMs },
      { kind: "submit", id: 1, bytes: numberedSet(one, 1), nowMs },
    ];
    for (let event = events.shift(); event !== undefined && replica.height === 0; event = events.shift())
      for (const effect of replica.handle(event)) {
        if (effect.kind === "guard") events.push({ kind: "guard-stored", id: effect.id, nowMs });
        if (effect.kind === "sign")
          events.push({ kind: "signed", id: effect.id, signature: keyedHash(effect.digest), nowMs });
        if (effect.kind === "set-timer" && effect.name === "propose")
          events.push({ kind: "timer", name: "propose", token: effect.token, nowMs });
      }
    assert.equal(replica.height, 1);
  });
});

function changed(of: Block, change: Partial<Block["header"]>): Block {
  const header = { ...of.header, ...change };
  return { ...of, header, hash: headerHash(chain.suite, header) };
}
