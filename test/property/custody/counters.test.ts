import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import type { AdvanceCounterInput, CounterStanding } from "../../../src/custody/contract/counters.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { scaled, seed } from "../../run-settings.ts";
import { TestKeyManager } from "../../unit/custody/key-manager.ts";

const standing = fc
  .record({ value: fc.integer({ min: 1, max: 5 }), mark: fc.constantFrom("a", "b") })
  .map(({ value, mark }): CounterStanding => ({ value, stamp: mark.repeat(64) }));
const requests = fc.array(
  fc.record({ node: fc.nat({ max: 1 }), previous: fc.option(standing), next: standing, restart: fc.nat({ max: 40 }) }),
  { minLength: 1, maxLength: 30 },
);

/** What a counter is, in as few words as can be. */
function expected(stands: CounterStanding | null, { previous, next }: Pick<AdvanceCounterInput, "previous" | "next">) {
  const same = (one: CounterStanding | null, other: CounterStanding | null) =>
    JSON.stringify(one) === JSON.stringify(other);
  if (same(stands, next)) return { stands, ok: true };
  if (same(stands, previous) && next.value > (stands?.value ?? 0)) return { stands: next, ok: true };
  return { stands, ok: false };
}

describe("counters", () => {
  let km: TestKeyManager;
  const nodes: Caller[] = [];
  before(async () => {
    km = await TestKeyManager.make();
    await km.custody.keys.create(km.admin, { alias: "alias/nodes" });
    for (const name of ["node-1", "node-2"]) nodes.push(await km.enrol(name, "alias/nodes"));
  });
  after(() => km.end());

  it("go from where they stand upwards and nowhere else, whatever is asked, restarts between", async () => {
    let counters = 0;
    await fc.assert(
      fc.asyncProperty(requests, async (asked) => {
        counters += 1;
        const name = `run-${counters}`;
        const stands: (CounterStanding | null)[] = [null, null];
        for (const { node, previous, next, restart } of asked) {
          if (restart === 40) await km.restart();
          const caller = nodes[node] as Caller;
          const wanted = expected(stands[node] ?? null, { previous, next });
          const answer = km.custody.counters.advance(caller, { name, previous, next });
          if (wanted.ok) assert.deepEqual(await answer, next);
          else await assert.rejects(answer, { code: "COUNTER_CONFLICT" });
          stands[node] = wanted.stands;
          const found = await km.custody.counters.read(caller, name);
          assert.deepEqual(found && { value: found.value, stamp: found.stamp }, stands[node]);
        }
        for (const [index, left] of stands.entries())
          if (left !== null) await km.custody.counters.reset(km.admin, `node-${index + 1}`, name);
      }),
      { seed, numRuns: scaled(200) },
    );
    assert.deepEqual(await km.custody.counters.list(km.admin), []);
    assert.equal((await km.custody.audit.verify(km.admin)).ok, true);
  });
});
