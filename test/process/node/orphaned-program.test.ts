import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

const program = new URL("../../../src/node/program.ts", import.meta.url).href;
const patienceMs = 10_000;
/** On one processor the launcher is at times killed before what it started has run at all. */
const launches = 12;

/** The processes that were given one of these arguments. */
function having(words: readonly string[]): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const given = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return given.some((word) => words.includes(word));
      } catch {
        return false;
      }
    });
}

describe("a program whose launcher is killed as soon as it is started", () => {
  it("ends too, or does not begin", async (t) => {
    const seconds = Array.from({ length: launches }, (_, launch) => `9${process.pid}.${launch}1`);
    t.after(() => {
      for (const pid of having(seconds)) process.kill(pid, "SIGKILL");
    });
    for (const word of seconds) {
      const start = { argv: ["/bin/sleep", word], folder: "/", environment: {}, output: "inherit", descriptors: [] };
      const launcher = [
        `import { Program } from ${JSON.stringify(program)};`,
        `Program.start(${JSON.stringify(start)});`,
        `process.kill(process.pid, "SIGKILL");`,
      ].join("\n");
      const command = ["-c", "0", process.execPath, "--input-type=module-typescript", "--eval", launcher];
      const child = spawn("taskset", command, { stdio: "ignore" });
      const [, signal] = await once(child, "exit");
      assert.equal(signal, "SIGKILL");
    }
    for (const deadline = Date.now() + patienceMs; having(seconds).length > 0; await sleep(20))
      assert.ok(Date.now() < deadline, "a program runs on");
  });
});
