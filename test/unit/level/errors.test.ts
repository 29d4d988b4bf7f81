import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { levelErrors } from "../../../src/level/index.ts";

it("documents every error code of the level, and no other, in docs/formats-level.md", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/formats-level.md"), "utf8");
  const documented = [...page.matchAll(/^\| `(LEVEL_\w+)` \| (.+) \|$/gm)].map(([, code, meaning]) => [code, meaning]);
  assert.deepEqual(Object.fromEntries(documented), levelErrors);
  assert.equal(documented.length, Object.keys(levelErrors).length);
});
