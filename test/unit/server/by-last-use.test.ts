import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ByLastUse } from "../../../src/server/by-last-use.ts";
import { scaled, seed } from "../../run-settings.ts";

describe("values by their last use", () => {
  function filled(...names: string[]): ByLastUse<string> {
    const values = new ByLastUse<string>();
    for (const name of names) values.set(name, name.toUpperCase());
    return values;
  }

  it("go in the order in which they were put in when none was used", () => {
    const values = filled("a", "b", "c");
    assert.deepEqual([values.deleteOldest(), values.deleteOldest(), values.deleteOldest()], ["A", "B", "C"]);
    assert.equal(values.size, 0);
  });

  it("stay longer when they were used, whether they were the oldest, the newest or between", () => {
    for (const [used, left] of [
      ["a", ["B", "C", "A"]],
      ["b", ["A", "C", "B"]],
      ["c", ["A", "B", "C"]],
    ] as const) {
      const values = filled("a", "b", "c");
      assert.equal(values.use(used), used.toUpperCase());
      assert.deepEqual([values.deleteOldest(), values.deleteOldest(), values.deleteOldest()], left);
    }
  });

  it("have nothing for a name that is not there or was taken out", () => {
    const values = filled("a");
    assert.equal(values.use("b"), undefined);
    assert.equal(values.delete("b"), undefined);
    assert.equal(values.delete("a"), "A");
    assert.equal(values.use("a"), undefined);
    assert.equal(values.delete("a"), undefined);
    assert.equal(values.deleteOldest(), undefined);
    assert.equal(values.size, 0);
  });

  it("hold one value of a name, the last, as used when it was put in", () => {
    const values = filled("a", "b");
    values.set("a", "again");
    assert.equal(values.size, 2);
    assert.deepEqual([values.deleteOldest(), values.deleteOldest(), values.deleteOldest()], ["B", "again", undefined]);
  });

  it("behave as a map whose names are taken out and put in again", () => {
    const name = fc.constantFrom("a", "b", "c", "d", "e");
    const step = fc.oneof(
      fc.record({ do: fc.constantFrom("use", "set", "delete"), name }),
      fc.record({ do: fc.constant("deleteOldest"), name }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const values = new ByLastUse<number>();
        const model = new Map<string, number>();
        steps.forEach((each, index) => {
          if (each.do === "set") {
            values.set(each.name, index);
            model.delete(each.name);
            model.set(each.name, index);
          } else if (each.do === "use") {
            const held = model.get(each.name);
            assert.equal(values.use(each.name), held);
            model.delete(each.name);
            if (held !== undefined) model.set(each.name, held);
          } else {
            const [oldest] = model.keys();
            const gone = each.do === "delete" ? each.name : oldest;
            const held = gone === undefined ? undefined : model.get(gone);
            assert.equal(each.do === "delete" ? values.delete(each.name) : values.deleteOldest(), held);
            if (gone !== undefined) model.delete(gone);
          }
          assert.equal(values.size, model.size);
        });
      }),
      { seed, numRuns: scaled(200) },
    );
  });
});
