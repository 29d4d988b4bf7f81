import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { errorsPage } from "../../../script/errors-page.ts";

it("docs/errors.md is what the error tables say", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/errors.md"), "utf8");
  assert.equal(page, errorsPage(), "run: node script/errors-page.ts > docs/errors.md");
});
