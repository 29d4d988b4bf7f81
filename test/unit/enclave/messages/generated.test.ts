import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

const root = join(import.meta.dirname, "../../../..");
const committed = join(root, "src/enclave/messages/generated");
const isMissing = spawnSync("protoc", ["--version"]).error !== undefined;

const filesBelow = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .sort();

describe("the generated code of the messages", {
  skip: isMissing && "Debian's protobuf-compiler is not installed",
}, () => {
  const made = mkdtempSync(join(tmpdir(), "strongroom-messages-"));
  after(() => rmSync(made, { recursive: true, force: true }));

  it("is what the .proto files give", () => {
    const { status, stderr } = spawnSync(join(root, "script/generate-messages"), [made], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.deepEqual(filesBelow(made), filesBelow(committed));
    for (const name of filesBelow(made))
      assert.equal(readFileSync(join(made, name), "utf8"), readFileSync(join(committed, name), "utf8"), name);
  });
});
