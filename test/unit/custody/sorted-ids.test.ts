import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { pageOfIds, SortedIds } from "../../../src/custody/sorted-ids.ts";
import { scaled, seed } from "../../run-settings.ts";

describe("sorted ids", () => {
  it("are those that were added and not deleted, in order and once, however they came", () => {
    const step = fc.record({ id: fc.string({ maxLength: 3 }), deletes: fc.boolean(), reads: fc.boolean() });
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 200 }), fc.array(step, { maxLength: 200 }), (first, steps) => {
        const [ids, model] = [new SortedIds(first), new Set(first)];
        for (const { id, deletes, reads } of steps) {
          if (deletes) ids.delete(id);
          else ids.add(id);
          if (deletes) model.delete(id);
          else model.add(id);
          if (reads) assert.deepEqual([...ids.behind()], [...model].sort());
        }
        assert.deepEqual([...ids.behind()], [...model].sort());
      }),
      { seed, numRuns: scaled(2000) },
    );
  });

  it("come in pages that miss nothing and repeat nothing, also from an id that is gone", () => {
    const ids = new SortedIds(Array.from({ length: 250 }, (_, index) => String(index).padStart(3, "0")));
    const walked: string[] = [];
    let after: string | undefined;
    for (let more = true; more; ) {
      const page = pageOfIds(ids, { limit: 100, ...(after === undefined ? {} : { after }) }, (id) => id);
      walked.push(...page.items);
      after = page.items.at(-1);
      if (after !== undefined) ids.delete(after);
      ({ more } = page);
    }
    assert.equal(walked.length, 250);
    assert.deepEqual(walked, walked.toSorted());
  });

  it("have no page after the last, none of nothing, and pass over what has no item", () => {
    const ids = new SortedIds(["a", "b", "c"]);
    const all = (id: string) => id;
    assert.deepEqual(pageOfIds(ids, { limit: 3 }, all), { items: ["a", "b", "c"], more: false });
    assert.deepEqual(pageOfIds(ids, { limit: 2 }, all), { items: ["a", "b"], more: true });
    assert.deepEqual(pageOfIds(ids, { limit: 2, after: "c" }, all), { items: [], more: false });
    assert.deepEqual(pageOfIds(ids, { limit: 2, after: "z" }, all), { items: [], more: false });
    assert.deepEqual(pageOfIds(undefined, { limit: 2 }, all), { items: [], more: false });
    const notB = (id: string) => (id === "b" ? undefined : id);
    assert.deepEqual(pageOfIds(ids, { limit: 2 }, notB), { items: ["a", "c"], more: false });
  });
});
