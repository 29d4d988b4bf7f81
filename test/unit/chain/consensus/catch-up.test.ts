import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeMessage, encodeBlocks } from "../../../../src/chain/consensus/message-encoding.ts";
import type { Message } from "../../../../src/chain/consensus/messages.ts";
import { encodeFinalBlock } from "../../../../src/chain/ledger/block.ts";
import { Ledger } from "../../../../src/chain/ledger/ledger.ts";
import type { FinalBlock } from "../../../../src/chain/ledger/types.ts";
import { signed } from "../../../simulation/cheat.ts";
import { block, chain, final, four, nowMs, proposal, ReplicaUnderTest, vote } from "./replica-under-test.ts";

const first = block(1, 1);

function behind(): ReplicaUnderTest {
  const replica = new ReplicaUnderTest(3);
  replica.receive(0, { kind: "status", height: 2 });
  return replica;
}

function blocks(...of: Extract<Message, { kind: "blocks" }>["blocks"]): Message {
  return { kind: "blocks", blocks: of };
}

/** The next block of a chain that the other sealers have made. */
function grown(source: Ledger, number: number): FinalBlock {
  const executed = source.propose([], 1, nowMs + number);
  source.append(executed);
  const { header, hash } = executed.block;
  const commit = { height: header.height, view: 0, phase: "commit", digest: hash } as const;
  const signatures = [0, 1, 2].map((sealer) => ({ sealer, signature: signed(four, sealer, commit) }));
  return { ...executed.block, proof: { view: 0, signatures } };
}

describe("a late replica", () => {
  it("asks the peer that is ahead, and takes blocks with their proofs", () => {
    const replica = behind();
    const [request] = replica.sent("block-request");
    assert.deepEqual([request?.fromHeight, request?.count], [1, 16]);
    replica.receive(0, blocks(final(first)));
    assert.equal(replica.replica.height, 1);
    assert.deepEqual(replica.of("store-block")[0]?.block.hash, first.hash);
    assert.equal(replica.sent("block-request").at(-1)?.fromHeight, 2, "and asks for the next");
  });

  it("takes no block without a proof, with a proof of another, or unasked", () => {
    const forged = [
      { ...final(first), proof: final(block(1, 2)).proof },
      final(first, 0, [0, 1]),
      final(block(1, 2), 0, [0, 1]),
    ];
    for (const bad of forged) {
      const replica = behind();
      replica.receive(0, blocks(bad));
      assert.equal(replica.replica.height, 0);
      assert.equal(replica.complaints().length, 1);
    }
    const replica = behind();
    replica.receive(1, blocks(final(first)));
    assert.equal(replica.replica.height, 0);
  });

  it("asks another peer when one does not answer, answers with nothing, or lies", () => {
    for (const fail of [
      (replica: ReplicaUnderTest) => replica.fire("sync"),
      (replica: ReplicaUnderTest) => replica.receive(0, blocks()),
      (replica: ReplicaUnderTest) => replica.receive(0, blocks(final(first, 0, [0, 1]))),
    ]) {
      const replica = behind();
      replica.receive(1, { kind: "status", height: 2 });
      fail(replica);
      assert.deepEqual(
        replica
          .of("send")
          .filter(({ to }) => to !== "all")
          .map(({ to }) => to),
        [0, 1],
      );
    }
  });

  it("loses one wait only to a peer that claims the highest head after every answer and gives nothing", () => {
    const source = new Ledger(chain);
    const far = Array.from({ length: 160 }, (_, index) => grown(source, index + 1));
    const replica = new ReplicaUnderTest(3);
    const lie = () => replica.receive(0, { kind: "status", height: Number.MAX_SAFE_INTEGER });
    lie();
    replica.receive(1, { kind: "status", height: far.length });
    let waits = 0;
    for (let turn = 0; turn < 40 && replica.replica.height < far.length; turn++) {
      const request = replica.of("send").findLast(({ to }) => to !== "all");
      if (request?.to === 1) replica.receive(1, blocks(...far.slice(replica.replica.height).slice(0, 16)));
      else {
        waits++;
        replica.fire("sync");
      }
      lie();
    }
    assert.equal(replica.replica.height, far.length);
    assert.equal(waits, 1);
  });

  it("is not held back by a peer that claims the highest head and gives one block at a time, as late as it may", () => {
    const source = new Ledger(chain);
    const far = Array.from({ length: 160 }, (_, index) => grown(source, index + 1));
    const replica = new ReplicaUnderTest(3);
    const lie = () => replica.receive(0, { kind: "status", height: Number.MAX_SAFE_INTEGER });
    lie();
    for (const honest of [1, 2]) replica.receive(honest, { kind: "status", height: far.length });
    let late = 0;
    for (let turn = 0; turn < 40 && replica.replica.height < far.length; turn++) {
      const to = replica.of("send").findLast((sent) => sent.to !== "all")?.to;
      assert.ok(typeof to === "number");
      if (to === 0) late++;
      replica.receive(to, blocks(...far.slice(replica.replica.height).slice(0, to === 0 ? 1 : 16)));
      lie();
    }
    assert.equal(replica.replica.height, far.length);
    assert.ok(late <= 6, `${late} waits`);
  });

  it("does not wait for a peer that has failed once another is ahead", () => {
    const replica = behind();
    replica.fire("sync");
    replica.receive(0, { kind: "status", height: 9 });
    replica.receive(1, { kind: "status", height: 2 });
    const asked = replica
      .of("send")
      .filter(({ to }) => to !== "all")
      .map(({ to }) => to);
    assert.deepEqual(asked, [0, 0, 1]);
    replica.receive(1, blocks(final(first)));
    assert.equal(replica.replica.height, 1);
  });

  it("that is one block behind waits a little for the votes on their way", () => {
    const replica = new ReplicaUnderTest(3);
    replica.receive(0, { kind: "status", height: 1 });
    assert.equal(replica.sent("block-request").length, 0);
    replica.fire("sync");
    assert.equal(replica.sent("block-request").length, 1);
  });

  it("remembers early messages of the next height, a bounded number of each peer's", () => {
    const replica = new ReplicaUnderTest(3);
    for (let view = 0; view < 50; view++) replica.receive(0, vote(0, "prepare", Buffer.alloc(32, view), view, 2));
    replica.receive(1, proposal(first));
    for (const phase of ["prepare", "commit"] as const)
      for (const sealer of [0, 1]) replica.receive(sealer, vote(sealer, phase, first.hash));
    assert.equal(replica.replica.height, 1);
    assert.equal(replica.complaints().length, 0);
  });

  it("is told of no more blocks than there are, and no peer may ask for nonsense", () => {
    const replica = behind();
    replica.receive(0, blocks(final(first)));
    replica.receive(2, { kind: "block-request", fromHeight: 1, count: 999 });
    assert.deepEqual(replica.of("serve-blocks"), [{ kind: "serve-blocks", to: 2, fromHeight: 1, count: 1 }]);
    replica.receive(2, { kind: "block-request", fromHeight: 2, count: 1 });
    for (const [fromHeight, count] of [
      [0, 1],
      [1, 0],
    ] as const)
      replica.receive(2, { kind: "block-request", fromHeight, count });
    assert.equal(replica.of("serve-blocks").length, 1);
    assert.equal(replica.complaints().length, 2);
  });

  it("says where it stands, and repeats what it has said in its view", () => {
    const replica = new ReplicaUnderTest(3);
    replica.receive(1, proposal(first));
    replica.fire("resend");
    assert.deepEqual(
      replica.sent("status").map(({ height }) => height),
      [0],
    );
    assert.equal(replica.sent("vote").length, 2);
  });
});

it("an answer of blocks ends where a frame is full", () => {
  const encoded = encodeFinalBlock(final(first));
  const many = decodeMessage(chain, encodeBlocks(Array.from({ length: 40 }, () => encoded)));
  assert.ok(many.kind === "blocks");
  assert.equal(many.blocks.length, 16);
  const large = Array.from({ length: 3 }, () => Buffer.alloc(1_500_000));
  assert.ok(encodeBlocks(large).length < 3_100_000);
});
