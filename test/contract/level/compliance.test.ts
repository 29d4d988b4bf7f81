import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { long } from "../../run-settings.ts";

const program = join(import.meta.dirname, "compliance-program.ts");

/** The fewest assertions the suite of abstract-level 3.1 makes over each base: fewer means that a part of it did not run. */
const fewestAssertions = { classic: 5168, "given-classic": 5168, memory: 5120 } as const;

describe("abstract-level's compliance suite", () => {
  for (const suite of ["intl", "sm"] as const)
    for (const [base, fewest] of Object.entries(fewestAssertions)) {
      // The short run has each suite and each base once.
      if (!long && (suite === "sm") !== (base === "given-classic")) continue;
      it(`passes whole with suite ${suite} over ${base}`, (context) => {
        const run = spawnSync(process.execPath, [program, suite, base], { encoding: "utf8", maxBuffer: 1 << 26 });
        const [, total] = /^# tests (\d+)$/m.exec(run.stdout) ?? [];
        const [, passed] = /^# pass {2}(\d+)$/m.exec(run.stdout) ?? [];
        const failures = run.stdout.split("\n").filter((line) => line.startsWith("not ok"));
        assert.deepEqual(failures, [], run.stderr);
        assert.equal(run.status, 0, run.stderr);
        assert.equal(passed, total);
        assert.ok(Number(passed) >= fewest, `${passed} assertions, expected at least ${fewest}`);
        context.diagnostic(`${passed} of ${total} assertions`);
      });
    }
});
