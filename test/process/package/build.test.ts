import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

const root = join(import.meta.dirname, "../../..");

describe("the built package", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-build-"));
  after(() => rmSync(folder, { recursive: true }));
  before(() => {
    const args = ["-p", "tsconfig.build.json", "--outDir", join(folder, "dist")];
    const built = spawnSync(join(root, "node_modules/.bin/tsc"), args, { cwd: root, encoding: "utf8" });
    assert.equal(built.status, 0, built.stdout);
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  });

  it("has the sub-path exports of package.json, in JavaScript with declarations", async () => {
    const { default: manifest } = await import(join(root, "package.json"), { with: { type: "json" } });
    for (const [name, path] of Object.entries<string>(manifest.exports)) {
      const module = await import(join(folder, path));
      assert.ok(Object.keys(module).length > 0, name);
    }
    assert.deepEqual(Object.keys(manifest.exports), ["./crypto", "./level", "./client", "./chain"]);
    const { ChainClient, openClient } = await import(join(folder, manifest.exports["./chain"]));
    assert.deepEqual([typeof ChainClient, typeof openClient], ["function", "function"]);
  });

  it("runs the command line from JavaScript, the store's thread included", () => {
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [join(folder, "dist/cli/main.js"), ...args], { encoding: "utf8" });
    assert.match(run("--version").stdout, /^\d+\.\d+\.\d+/);
    assert.equal(run("nonsense").status, 2);
    assert.equal(run("doctor", "--json").status !== 2, true);
  });
});
