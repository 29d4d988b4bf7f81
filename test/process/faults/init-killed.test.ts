import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { scaled, seed } from "../../run-settings.ts";
import { repository, runStrongroom, snapshot, TemporaryFolder } from "../running-server.ts";
import { assertNoStack, assertOneClearLine } from "./one-clear-line.ts";
import { seededRandom } from "./seeded-random.ts";

/** An init takes about a fifth of a second; most of it is the program's start. */
const earliestMs = 80;
const latestMs = 320;

describe("an init that is killed at any moment", () => {
  it("leaves a key manager that opens, or a folder of which every command says in one line that it is none", async () => {
    const random = seededRandom(seed);
    for (let round = 0; round < scaled(60); round++) {
      using folder = new TemporaryFolder();
      const data = join(folder.path, "km");
      const place = ["--data", data, "--unlock-file", folder.file("unlock", randomBytes(36).toString("base64"))];
      const init = ["init", ...place, "--slot", "key-file"];
      await killed(init, earliestMs + random() * (latestMs - earliestMs));

      const left = snapshot(data);
      const outcome = await runStrongroom(["audit", "verify", ...place]);
      assertNoStack(outcome.stderr);
      if (outcome.code === 0) continue;
      assertOneClearLine(outcome, 1, /there is no data folder|not a key manager's data folder|never initialised/);
      const again = await runStrongroom(init);
      if (again.code !== 0) {
        assertOneClearLine(again, 1, /is not empty/);
        assert.ok(Object.keys(left).includes("root.slots"), JSON.stringify(left));
        rmSync(data, { recursive: true });
        assert.equal((await runStrongroom(init)).code, 0);
      }
    }
  });

  it("takes a folder in which one died before its slot was in place, and clears it", async () => {
    using folder = new TemporaryFolder();
    const data = join(folder.path, "km");
    mkdirSync(data, { mode: 0o700 });
    for (const name of ["lock", "lock-journal", "root.slots.new-28277-2ac8b484"]) writeFileSync(join(data, name), "");
    const place = ["--data", data, "--unlock-file", folder.file("unlock", randomBytes(36).toString("base64"))];
    assert.equal((await runStrongroom(["init", ...place, "--slot", "key-file"])).code, 0);
    assert.equal((await runStrongroom(["audit", "verify", ...place])).code, 0);
    assert.ok(!readdirSync(data).some((name) => name.includes("new-")));
  });
});

function killed(args: readonly string[], afterMs: number): Promise<void> {
  const child = spawn(join(repository, "bin/strongroom"), args, { stdio: "ignore" });
  const timer = setTimeout(() => child.kill("SIGKILL"), afterMs);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
