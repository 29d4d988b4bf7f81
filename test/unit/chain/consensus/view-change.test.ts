import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Message, ViewChange } from "../../../../src/chain/consensus/messages.ts";
import { isJustified } from "../../../../src/chain/consensus/view-changes.ts";
import {
  block,
  chain,
  changing,
  prepared,
  proposal,
  ReplicaUnderTest,
  viewChange,
  vote,
} from "./replica-under-test.ts";

const first = block(1, 1);
const second = block(1, 2);
/** What the proposer of view 1, sealer 2, may make by itself. */
const fresh = block(2, 3);

function justified(message: Message): boolean {
  return message.kind === "proposal" && isJustified(chain, message.proposal);
}

describe("a view change", () => {
  it("comes when no block does, and doubles the time", () => {
    const replica = new ReplicaUnderTest(3);
    replica.submit(1);
    replica.fire("view");
    assert.deepEqual(replica.asked(), ["view-change 1"]);
    const times = replica
      .of("set-timer")
      .filter(({ name }) => name === "view")
      .map(({ delayMs }) => delayMs);
    assert.deepEqual(times, [5000, 8000]);
  });

  it("does not come on an idle chain, nor by a timer that was replaced", () => {
    const replica = new ReplicaUnderTest(3);
    assert.ok(!replica.of("set-timer").some(({ name }) => name === "view"));
    replica.give({ kind: "timer", name: "view", token: 1 });
    assert.deepEqual(replica.asked(), []);
  });

  it("is not followed by another while this replica is alone with it", () => {
    const replica = new ReplicaUnderTest(3);
    replica.submit(1);
    for (let i = 0; i < 5; i++) replica.fire("view");
    assert.deepEqual(replica.asked(), ["view-change 1"]);
    for (const sealer of [0, 1]) replica.receive(sealer, changing(sealer, 1));
    replica.fire("view");
    assert.deepEqual(replica.asked(), ["view-change 1", "view-change 2"]);
  });

  it("of f + 1 others draws a replica along; of one does not", () => {
    const replica = new ReplicaUnderTest(3);
    replica.receive(0, changing(0, 5));
    assert.equal(replica.replica.view, 0);
    replica.receive(1, changing(1, 3));
    assert.equal(replica.replica.view, 3, "as far as both have come");
  });

  it("that is forged, or claims what it can't prove, is a complaint", () => {
    const replica = new ReplicaUnderTest(3);
    const honest = viewChange(0, 1);
    const few = prepared(first, 0, [0, 1]);
    const later = prepared(first, 1);
    const bad: Message[] = [
      { kind: "view-change", change: { ...honest, sealer: 1 }, block: undefined },
      { kind: "view-change", change: { ...honest, view: 2 }, block: undefined },
      changing(0, 1, few),
      changing(0, 1, later),
    ];
    for (const message of bad) replica.receive(0, message);
    assert.equal(replica.complaints().length, bad.length);
  });

  it("with another body than the prepared block's is a complaint, and the real one still counts", () => {
    const replica = new ReplicaUnderTest(2);
    const claim = prepared(first, 0);
    const change = viewChange(0, 1, claim);
    replica.receive(0, { kind: "view-change", change, block: { ...first, transactions: second.transactions } });
    assert.equal(replica.complaints().length, 1);
    replica.receive(0, { kind: "view-change", change, block: first });
    replica.receive(1, changing(1, 1));
    assert.deepEqual(replica.sent("proposal")[0]?.proposal.block.hash, first.hash);
  });

  it("of one sealer with two claims for one view is evidence, once", () => {
    const replica = new ReplicaUnderTest(3);
    replica.receive(0, changing(0, 1));
    for (let i = 0; i < 3; i++) replica.receive(0, changing(0, 1, prepared(first, 0)));
    assert.equal(replica.replica.evidence.length, 1);
  });
});

describe("the proposer of a new view", () => {
  it("waits for a quorum and then proposes, even without transactions", () => {
    const replica = new ReplicaUnderTest(2);
    replica.receive(0, changing(0, 1));
    assert.equal(replica.sent("proposal").length, 0);
    replica.receive(1, changing(1, 1));
    const [sent] = replica.sent("proposal");
    assert.ok(sent !== undefined && justified(sent));
    assert.deepEqual([sent.proposal.view, sent.proposal.justification.length], [1, 3]);
  });

  it("takes over the block that was prepared last, though another waits", () => {
    const replica = new ReplicaUnderTest(2);
    replica.submit(9);
    replica.receive(0, changing(0, 1));
    replica.receive(1, changing(1, 1, prepared(first, 0)));
    const [sent] = replica.sent("proposal");
    assert.ok(sent !== undefined && justified(sent));
    assert.deepEqual(sent.proposal.block.hash, first.hash);
  });

  it("takes over its own prepared block", () => {
    const replica = new ReplicaUnderTest(2);
    replica.receive(1, proposal(first));
    for (const sealer of [0, 1]) replica.receive(sealer, vote(sealer, "prepare", first.hash));
    for (const sealer of [0, 3]) replica.receive(sealer, changing(sealer, 1));
    assert.deepEqual(replica.sent("proposal")[0]?.proposal.block.hash, first.hash);
  });
});

describe("a new view's proposal", () => {
  const none = [0, 1, 3].map((sealer) => viewChange(sealer, 1));
  const claims = [viewChange(0, 1), viewChange(1, 1, prepared(first, 0)), viewChange(3, 1)];

  it("brings replicas into its view when a quorum justifies it", () => {
    const replica = new ReplicaUnderTest(3);
    replica.receive(2, proposal(fresh, 1, none));
    assert.equal(replica.replica.view, 1);
    assert.deepEqual(replica.asked(), ["prepare 1"]);
    const bound = new ReplicaUnderTest(3);
    bound.receive(2, proposal(first, 1, claims));
    assert.deepEqual(bound.asked(), ["prepare 1"]);
  });

  const [zero, one, three] = none;
  assert.ok(zero !== undefined && one !== undefined && three !== undefined);
  const bad: readonly (readonly [string, Message])[] = [
    ["without a justification", proposal(fresh, 1)],
    ["with view changes of too few", proposal(fresh, 1, [zero, three])],
    ["with a forged view change", proposal(fresh, 1, [zero, { ...one, signature: zero.signature }, three])],
    ["with a view change of another view", proposal(fresh, 1, [zero, viewChange(1, 2), three])],
    [
      "with a claim whose certificate is too small",
      proposal(first, 1, [zero, viewChange(1, 1, prepared(first, 0, [0, 1])), three]),
    ],
    ["of a new block where one was prepared", proposal(fresh, 1, claims)],
    ["of another block than the prepared one", proposal(second, 1, claims)],
    ["of another's block where none was prepared", proposal(first, 1, none)],
    ["in view 0 with a justification", proposal(first, 0, none)],
  ];
  for (const [what, message] of bad)
    it(`${what} moves no one`, () => {
      const replica = new ReplicaUnderTest(3);
      replica.receive(2, message);
      assert.deepEqual([replica.replica.view, replica.asked()], [0, []]);
      assert.equal(replica.complaints().length, 1);
    });

  it("can't repeat a sealer's view change to fill its quorum", () => {
    const message = proposal(fresh, 1, [zero, one, one]);
    assert.ok(!justified(message));
    const changes: ViewChange[] = [zero, zero, zero];
    assert.ok(!justified(proposal(fresh, 1, changes)));
  });

  it("must take the block of the highest view among several prepared ones", () => {
    const several = [viewChange(0, 3, prepared(first, 0)), viewChange(1, 3, prepared(fresh, 1)), viewChange(3, 3)];
    assert.ok(justified(proposal(fresh, 3, several)));
    assert.ok(!justified(proposal(first, 3, several)));
  });
});
