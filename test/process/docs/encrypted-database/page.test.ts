import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { reservePort } from "../../../reserved-ports.ts";
import { sdfCardMissing } from "../../../sdf-card/build.ts";
import { skip } from "../../database/instance/served-instance.ts";
import { TemporaryFolder } from "../../running-server.ts";
import { patternOf, readPage, runSession, stepsOf } from "../written-session.ts";

describe("docs/encrypted-database.md", () => {
  it("holds commands that do what it says, as they are written", {
    timeout: 300_000,
    skip: skip || sdfCardMissing(),
  }, async () => {
    using folder = new TemporaryFolder();
    const steps = stepsOf(readPage("encrypted-database.md"));
    const PORT = String(await reservePort());
    const { exitCode, printed, stderr } = await runSession(steps, folder.path, { PORT });
    for (const [index, step] of steps.entries()) {
      const { heading } = step;
      assert.ok(printed[index] !== undefined, `${heading} is reached\n${stderr}`);
      if (step.printed !== undefined)
        assert.match(printed[index], patternOf(step.printed), `${heading}\n${printed[index]}\n${stderr}`);
    }
    assert.equal(exitCode, 0, stderr);
  });

  it("covers the manual: settings, pincode, keys, databases, refusals, both ways to another master key", () => {
    const all = stepsOf(readPage("encrypted-database.md"))
      .map(({ commands }) => commands)
      .join("\n");
    const inOrder = [
      "fctools gm genkeypair",
      'provider = "gm-soft"',
      "public-key",
      'type = "file"',
      "path",
      "FCTSDB_PINCODE",
      "CREATE DATABASE noenc",
      "CREATE DATABASE enc WITH ENCRYPTION ON",
      "SHOW DATABASES",
      "without\\.toml",
      "fctools envelop --pubkey .* --prikey-file .* --expubkey",
      "db rotate-master",
      "db backup",
      "db restore",
      "DROP DATABASE",
      'provider = "gm-rk"',
      "--hardware",
    ];
    assert.match(all, new RegExp(inOrder.join("[\\s\\S]*")));
  });
});
