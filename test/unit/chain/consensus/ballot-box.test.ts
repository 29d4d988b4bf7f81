import assert from "node:assert/strict";
import { it } from "node:test";
import { BallotBox } from "../../../../src/chain/consensus/ballot-box.ts";
import type { Phase } from "../../../../src/chain/consensus/vote.ts";
import { signed } from "../../../simulation/cheat.ts";
import { chain, four } from "./replica-under-test.ts";

const phases: readonly Phase[] = ["pre-prepare", "prepare", "commit"];

it("a ballot box holds a bounded number of votes, however many a sealer signs", () => {
  const box = new BallotBox(chain);
  let evidence = 0;
  for (let view = 0; view < 40; view++)
    for (const phase of phases)
      for (let sealer = 0; sealer < 4; sealer++)
        for (let variant = 0; variant < 4; variant++) {
          const vote = { height: 1, view, phase, digest: Buffer.alloc(32, variant) };
          const answer = box.add({ ...vote, sealer, signature: signed(four, sealer, vote) }, 10);
          assert.equal(answer.kind === "outside", view < 10 || view > 12, `view ${view}`);
          if (answer.kind === "equivocation") evidence += 1;
        }
  assert.equal(box.size, 3 * phases.length * 4);
  assert.equal(evidence, box.size, "one for each slot");
  box.forgetBelow(12);
  assert.equal(box.size, phases.length * 4);
});

it("a ballot box counts no vote of an unknown sealer, and signatures for one digest only, in order", () => {
  const box = new BallotBox(chain);
  const [one, other] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  for (const [sealer, digest] of [
    [3, one],
    [0, one],
    [1, other],
  ] as const) {
    const vote = { height: 1, view: 0, phase: "prepare", digest } as const;
    box.add({ ...vote, sealer, signature: signed(four, sealer, vote) }, 0);
  }
  const unknown = {
    height: 1,
    view: 0,
    phase: "prepare",
    digest: one,
    sealer: 4,
    signature: Buffer.alloc(64),
  } as const;
  assert.equal(box.add(unknown, 0).kind, "bad-signature");
  assert.deepEqual(
    box.signatures(0, "prepare", one).map(({ sealer }) => sealer),
    [0, 3],
  );
  assert.deepEqual(box.signatures(0, "commit", one), []);
  assert.deepEqual(box.signatures(1, "prepare", one), []);
});
