import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { builtOperations, unsupportedOperations } from "../../../../src/server/aws/operations/table.ts";

const page = readFileSync(join(import.meta.dirname, "../../../../docs/aws-api.md"), "utf8");
const section = page.slice(page.indexOf("## Operations"), page.indexOf("## Where it differs"));
const rows = [...section.matchAll(/^\| [a-zA-Z ]+ \| ([A-Za-z, ]+) \|$/gm)].slice(1).map(([, names = ""]) => names);
const listed = rows.flatMap((names) => names.split(", "));

describe("docs/aws-api.md", () => {
  it("lists every operation that is built, once, and no other", () => {
    assert.deepEqual(listed.toSorted(), builtOperations.map(({ name }) => name).toSorted());
  });

  it("lists none that is answered as not supported", () => {
    assert.deepEqual(
      listed.filter((name) => unsupportedOperations.has(name)),
      [],
    );
  });
});
