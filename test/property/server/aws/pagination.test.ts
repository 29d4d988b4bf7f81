import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { pageOf } from "../../../../src/server/aws/pagination.ts";
import { scaled, seed } from "../../../run-settings.ts";

const ids = fc.uniqueArray(fc.stringMatching(/^[a-z0-9/-]{1,8}$/), { maxLength: 400 });
const pageLength = fc.integer({ min: 1, max: 130 });

describe("pages of a list", () => {
  it("make up the whole list in order, whatever the order it is kept in and the length of a page", () => {
    fc.assert(
      fc.property(ids, pageLength, (all, Limit) => {
        const walked: string[] = [];
        let Marker: string | undefined;
        do {
          const { items, more } = pageOf(all, { Limit, Marker }, (id) => id, 100);
          assert.ok(items.length === Limit || !more.Truncated, "a page is full, or the last");
          walked.push(...items);
          Marker = more.NextMarker;
        } while (Marker !== undefined);
        assert.deepEqual(
          walked,
          all.toSorted((left, right) => (left < right ? -1 : 1)),
        );
      }),
      { seed, numRuns: scaled(400) },
    );
  });

  it("miss nothing that was there all the time, when others come and go between them", () => {
    fc.assert(
      fc.property(ids, ids, ids, pageLength, (lasting, early, late, Limit) => {
        const first = pageOf([...new Set([...early, ...lasting])], { Limit }, (id) => id, 100);
        const walked = [...first.items];
        let Marker = first.more.NextMarker;
        while (Marker !== undefined) {
          const { items, more } = pageOf([...new Set([...lasting, ...late])], { Limit, Marker }, (id) => id, 100);
          walked.push(...items);
          Marker = more.NextMarker;
        }
        const behind = first.more.NextMarker === undefined ? first.items.at(-1) : undefined;
        for (const id of lasting) assert.ok(walked.includes(id) || (behind !== undefined && id > behind), id);
      }),
      { seed, numRuns: scaled(200) },
    );
  });

  it("refuse a marker that is no text of theirs", () => {
    for (const Marker of ["", "=", "a", "YQ==", "Y Q", "é"])
      assert.throws(() => pageOf(["a"], { Marker }, (id) => id, 100), { type: "InvalidMarkerException" }, Marker);
  });
});
