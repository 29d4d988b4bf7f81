import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { verifyVolumeHeader } from "../../../src/volume/header.ts";
import { volumeKinds } from "../../../src/volume/volume.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/volumes.md"), "utf8");

describe("docs/volumes.md", () => {
  it("shows headers that open under the data key it names", () => {
    using dataKey = SecretBuffer.copyOf(Buffer.from(Array.from({ length: 32 }, (_, index) => index)));
    const blocks = [...page.matchAll(/\n\n((?: {4}[0-9a-f]+\n)+)/g)].map((match) => match[1] ?? "");
    const opened = blocks.map((block) => verifyVolumeHeader(Buffer.from(block.replace(/\s/g, ""), "hex"), dataKey));
    assert.deepEqual(opened, [
      {
        kind: "gocryptfs",
        volumeId: "01234567-89ab-4cde-8f01-23456789abcd",
        suite: "intl",
        parameters: { cipher: "aes-256-gcm" },
      },
      { kind: "level", volumeId: "f0000000-0000-4000-8000-000000000001", suite: "sm", parameters: {} },
    ]);
  });

  for (const kind of volumeKinds)
    it(`names every parameter and suite of ${kind}`, async () => {
      const { parameters, suites } = await volumeDriver(kind);
      const rows = page.split("\n").filter((line) => line.startsWith(`| \`${kind}\` | \``));
      const named = rows
        .map((row) => row.split(" | ")[1])
        .filter((cell) => Object.hasOwn(parameters, cell?.replaceAll("`", "") ?? ""));
      assert.equal(named.length, Object.keys(parameters).length);
      for (const [name, rule] of Object.entries(parameters)) {
        const row = rows.find((line) => line.includes(` | \`${name}\` | `)) ?? "";
        assert.equal(row.split(" | ")[3], rule.default === "" ? "empty" : `\`${rule.default}\``, name);
      }
      const choice = page.split("\n").find((line) => line.startsWith(`| \`${kind}\` | `)) ?? "";
      assert.ok(choice.endsWith(`| ${suites.map((suite) => `\`${suite}\``).join(", ")} |`), choice);
    });
});
