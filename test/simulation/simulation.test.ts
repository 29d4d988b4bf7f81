import assert from "node:assert/strict";
import { test } from "node:test";
import { scaled, seed } from "../run-settings.ts";
import { keyedHashChain, signedChain } from "./sealers.ts";
import { Simulation, type SimulationResult } from "./simulation.ts";

const runs = scaled(1000);

test(`${runs} seeded networks never fork, never sign a slot twice, and go on when healed`, async (t) => {
  const four = keyedHashChain(4);
  const seven = keyedHashChain(7);
  const results: SimulationResult[] = [];
  for (let run = 0; run < runs; run++) {
    const runSeed = seed * 1_000_003 + run;
    const chain = run % 10 === 9 ? seven : four;
    const cheater = run % 3 === 2 ? { cheater: run % chain.keys.length } : {};
    try {
      results.push(await new Simulation({ test: chain, seed: runSeed, chaosMs: 12_000, ...cheater }).run());
    } catch (cause) {
      throw new Error(`simulation run ${run} with its seed ${runSeed} failed: ${String(cause)}`, { cause });
    }
  }
  const sum = (pick: (result: SimulationResult) => number): number => results.reduce((all, one) => all + pick(one), 0);
  t.diagnostic(`blocks ${sum((r) => r.height)}, crashes ${sum((r) => r.crashes)}, evidence ${sum((r) => r.evidence)}`);
  // Without these the runs would prove little.
  assert.ok(sum((result) => result.crashes) > runs, "nodes have crashed");
  assert.ok(sum((result) => result.outages) > runs / 4, "the key manager was away");
  assert.ok(sum((result) => result.lostStores) > runs / 10, "nodes have lost their stores");
  assert.ok(sum((result) => result.highestView) > 0, "views have changed");
  assert.ok(sum((result) => result.evidence) > 0, "a cheating sealer was seen");
});

for (const suite of ["sm", "standard"] as const)
  test(`a seeded network with real ${suite} signatures behaves the same`, async () => {
    for (let run = 0; run < scaled(20); run++)
      await new Simulation({ test: signedChain(suite, 4), seed: seed + run, chaosMs: 3000, cheater: 1 }).run();
  });
