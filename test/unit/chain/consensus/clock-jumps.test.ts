import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { block, proposal, ReplicaUnderTest, vote } from "./replica-under-test.ts";

const hourMs = 3_600_000;
const first = block(1, 1);
const other = block(1, 2);

describe("a replica whose host's clock jumps", () => {
  it("votes for no block whose time is far ahead of its clock, and says so", () => {
    const replica = new ReplicaUnderTest(2);
    replica.nowMs -= hourMs;
    replica.receive(1, proposal(first));
    assert.deepEqual(replica.asked(), []);
    assert.equal(replica.complaints().length, 1);
  });

  it("votes for a block whose time is far behind its clock: the others decide by theirs", () => {
    const replica = new ReplicaUnderTest(2);
    replica.nowMs += hourMs;
    replica.receive(1, proposal(first));
    assert.deepEqual(replica.asked(), ["prepare 0"]);
    assert.deepEqual(replica.complaints(), []);
  });

  for (const jumpMs of [-hourMs, hourMs])
    it(`by ${jumpMs / hourMs} h, does not vote a second time where it has voted, and goes on`, () => {
      const replica = new ReplicaUnderTest(2);
      replica.receive(1, proposal(first));
      replica.nowMs += jumpMs;
      replica.receive(1, proposal(other));
      replica.receive(1, proposal(first));
      assert.deepEqual(replica.asked(), ["prepare 0"]);
      for (const sealer of [0, 1, 3]) replica.receive(sealer, vote(sealer, "prepare", first.hash));
      assert.deepEqual(replica.asked(), ["prepare 0", "commit 0"]);
      for (const sealer of [0, 1, 3]) replica.receive(sealer, vote(sealer, "commit", first.hash));
      assert.equal(replica.replica.height, 1);
    });

  it("leaves a view by its timer, wherever the clock stands", () => {
    for (const jumpMs of [-hourMs, hourMs]) {
      const replica = new ReplicaUnderTest(2);
      replica.submit(1);
      replica.nowMs += jumpMs;
      replica.fire("view");
      assert.deepEqual(replica.asked(), ["view-change 1"]);
    }
  });

  it("proposes a block that is later than the one before, though its clock was set back", () => {
    const replica = new ReplicaUnderTest(2);
    replica.receive(1, proposal(first));
    for (const sealer of [0, 1, 3]) replica.receive(sealer, vote(sealer, "prepare", first.hash));
    for (const sealer of [0, 1, 3]) replica.receive(sealer, vote(sealer, "commit", first.hash));
    replica.nowMs -= hourMs;
    // At height 2 it is this one's turn.
    replica.submit(3);
    replica.fire("propose");
    const [proposed] = replica.sent("proposal");
    assert.equal(proposed?.proposal.block.header.timestampMs, first.header.timestampMs + 1);
  });
});
