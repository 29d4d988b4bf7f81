import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { allKeys } from "../../../src/client/key-pages.ts";
import type { Answer, Input, KeyDescription } from "../../../src/client/protocol.ts";

type Page = Answer<"keys.page">;

const key = (keyId: string, createdAt = "2026-01-01T00:00:00.000Z") => ({ keyId, createdAt }) as KeyDescription;
const page = (ids: readonly string[], more: boolean): Page => ({ keys: ids.map((id) => key(id)), more });

/** Asks a fake server that gives these pages one after the other, and then the last one again and again. */
async function asked(pages: readonly Page[]): Promise<{ inputs: Input<"keys.page">[]; ids: string[] }> {
  const inputs: Input<"keys.page">[] = [];
  const keys = await allKeys(async (input) => {
    inputs.push(input);
    assert.ok(inputs.length < 20, "it is asked without end");
    return pages[Math.min(inputs.length, pages.length) - 1] ?? page([], false);
  });
  return { inputs, ids: keys.map(({ keyId }) => keyId) };
}

describe("the pages of a list of keys", () => {
  const wrong: readonly (readonly [string, readonly Page[]])[] = [
    ["the same page again and again", [page(["a", "b"], true)]],
    ["an empty page with more behind it", [page([], true)]],
    ["a page behind which the list goes back", [page(["b"], true), page(["a", "c"], true)]],
    ["keys of a page out of order", [page(["b", "a"], true)]],
    ["a key twice in one page", [page(["a", "a"], false)]],
    ["a page that is no list", [{ keys: "a", more: true } as unknown as Page]],
    ["a key without an id", [{ keys: [{}], more: false } as unknown as Page]],
  ];
  for (const [what, pages] of wrong)
    it(`are given up at ${what}`, async () => {
      await assert.rejects(asked(pages), { code: "BAD_ANSWER" });
    });

  it("are asked for up to the last, each behind the key that ended the one before", async () => {
    const { inputs, ids } = await asked([page(["a", "b"], true), page(["c"], true), page(["d"], false)]);
    assert.deepEqual(
      inputs.map(({ after }) => after),
      [undefined, "b", "c"],
    );
    assert.deepEqual(ids, ["a", "b", "c", "d"]);
  });

  it("make one list, the oldest key first", async () => {
    const keys = [key("a", "2026-03-01T00:00:00.000Z"), key("b", "2026-01-01T00:00:00.000Z")];
    const all = await allKeys(async () => ({ keys, more: false }));
    assert.deepEqual(
      all.map(({ keyId }) => keyId),
      ["b", "a"],
    );
  });

  it("are one empty page where there is no key", async () => {
    assert.deepEqual((await asked([page([], false)])).ids, []);
  });
});
