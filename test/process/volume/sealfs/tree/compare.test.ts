import assert from "node:assert/strict";
import { test } from "node:test";
import { scaled, seed } from "../../../../run-settings.ts";
import { compareFolders } from "../../../../sealfs/compare/compare-folders.ts";
import { ServedTree, whyNoMount } from "./served-tree.ts";

for (const names of ["plain", "encrypted"] as const)
  test(`a sealed tree gives what a tmpfs gives, also after each remount (${names} names)`, {
    skip: whyNoMount(),
  }, async (t) => {
    const served = new ServedTree(t, names, 512);
    await served.start("clean");
    const operations = scaled(100_000);
    const outcomes = await compareFolders(served.plain, served.mounted, {
      seed,
      operations,
      operationsBetweenTrees: Math.ceil(operations / 4),
      betweenTrees: async () => {
        await served.stop();
        await served.start("clean");
      },
    });
    assert.equal(outcomes.size > 50, true);
    await served.stop();
    assert.doesNotMatch(served.output, /event|fault/);
  });
