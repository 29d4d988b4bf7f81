import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { nodeErrors } from "../../../src/node/errors.ts";
import { keyFormats } from "../../../src/node/key-formats/table.ts";
import { handovers, identityKinds } from "../../../src/node/manifest.ts";
import { type Field, type Fields, manifestFields, sealedFileFields } from "../../../src/node/manifest-fields.ts";

const page = readFileSync(new URL("../../../docs/nodes.md", import.meta.url), "utf8");

/** The rows of the table under a heading, cells trimmed. */
function tableUnder(heading: string): string[][] {
  const section = page.slice(page.indexOf(`\n${heading}\n`)).split(/\n#{2,3} /)[1] ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| "));
  return rows.slice(2).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function defaultOf(field: Field): string {
  return field.required ? "required" : field.default === undefined ? "" : `\`${field.default}\``;
}

describe("docs/nodes.md", () => {
  it("documents every field of the manifest, with its default and meaning, and no others", () => {
    const tables: [string, Fields][] = [...Object.entries(manifestFields), ["[sealed_file]", sealedFileFields]];
    for (const [name, fields] of tables)
      assert.deepEqual(
        tableUnder(`### \`[${name}]\``).map(([field, , usual, meaning]) => [field, usual, meaning]),
        Object.entries(fields).map(([field, rule]) => [`\`${field}\``, defaultOf(rule), rule.meaning]),
        name,
      );
  });

  it("lists every error with its exit code and meaning, and no others", () => {
    assert.deepEqual(
      tableUnder("## Errors"),
      Object.entries(nodeErrors).map(([code, { exit, meaning }]) => [`\`${code}\``, String(exit), meaning]),
    );
  });

  it("names every handover, identity kind and key format", () => {
    for (const name of [...handovers, ...identityKinds, ...keyFormats.map((format) => format.name)])
      assert.ok(page.includes(`| \`${name}\` |`), name);
  });
});
