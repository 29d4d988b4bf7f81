/**
 * Runs the checks (types, lint, format, imports, secrets) and, at the same time, every `test/**\/*.test.ts` in a process of its own.
 *
 *   node script/run-tests.ts [--long] [--seed N] [--no-checks] [path or part of a path …]
 *
 * Prints each failure in full, each skipped test with its reason, the files that took longest, and last `N passed, N failed`.
 * Exit code 0 only when nothing failed and, under CI, nothing was skipped but for a device this machine lacks.
 */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { globSync } from "node:fs";
import { join, relative } from "node:path";
import { run } from "node:test";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { long: { type: "boolean" }, seed: { type: "string" }, "no-checks": { type: "boolean" } },
});
/** Where to look when all takes too long. */
const slowestShown = 20;
const root = join(import.meta.dirname, "..");
const seed = values.seed ?? String(randomInt(2 ** 31));
process.env.STRONGROOM_TEST_SEED = seed;
if (values.long) process.env.STRONGROOM_TEST_LONG = "1";
// Some 550 processes load the same sources.
process.env.NODE_COMPILE_CACHE ??= join(root, "node_modules/.cache/strongroom-tests");
console.log(`seed ${seed}${values.long ? ", full counts (--long)" : ", counts at 1/20 (--long for all)"}`);
/** Files that wait for more than half a minute: begun first, so that none of them is left running alone at the end. */
const longest = [
  "test/process/volume/engines/",
  "test/process/database/instance/",
  "test/process/demo/",
  "test/process/devices/custody/",
  "test/process/devices/sdf/",
  "test/process/enclave/",
  "test/process/chain/node/",
];

let passed = 0;
let failed = 0;
const skipped: string[] = [];
const secondsOf = new Map<string, number>();

const checks: readonly (readonly [string, string, ...string[]])[] = [
  ["types", join(root, "node_modules/.bin/tsc"), "--noEmit"],
  ["types of the console", join(root, "node_modules/.bin/tsc"), "--noEmit", "-p", "console"],
  ["lint and format", join(root, "node_modules/.bin/biome"), "check", "--error-on-warnings", "."],
  ["imports point down the map", process.execPath, "script/check-imports.ts"],
  ["no secret is logged or formatted", process.execPath, "script/check-secrets.ts"],
];
/** One after another, beside the tests. */
async function runChecks(): Promise<void> {
  for (const [name, command, ...args] of checks) {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    const status = await new Promise((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("close", resolve);
    });
    if (status === 0) passed += 1;
    else {
      failed += 1;
      console.log(`FAILED check: ${name} (${status})\n${output}`);
    }
  }
}
const checked = !values["no-checks"] && positionals.length === 0 ? runChecks() : Promise.resolve();

const files = inOrder(
  globSync("test/**/*.test.ts", { cwd: root })
    .filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)))
    .sort(),
).map((file) => join(root, file));

const started = Date.now();
/** Of one file. Full counts of kills and of file operations take a file well over ten minutes. */
const fileLimitMs = (values.long ? 60 : 10) * 60_000;
// Three on two cores: processes that are tried wait for one another much of the time.
const stream = run({ files, concurrency: 3, timeout: fileLimitMs, cwd: root });
if (values.long)
  setInterval(() => {
    const minutes = Math.round((Date.now() - started) / 60_000);
    console.log(`${minutes} min: ${secondsOf.size} of ${files.length} files, ${passed} passed, ${failed} failed`);
  }, 300_000).unref();
stream.on("test:pass", (data) => {
  countTime(data);
  if (data.details.type === "suite") return;
  if (data.skip !== undefined && data.skip !== false) skipped.push(`${data.name}: ${data.skip}`);
  else passed += 1;
});
stream.on("test:fail", (data) => {
  countTime(data);
  const error: Error & { failureType?: string } = data.details.error;
  if (error.failureType === "subtestsFailed") return;
  failed += 1;
  const cause = error.cause ?? error;
  console.log(`FAILED ${data.file ?? ""}\n  ${data.name}\n${cause instanceof Error ? cause.stack : String(cause)}\n`);
});
stream.on("test:stderr", (data) => process.stderr.write(data.message));
stream.on("test:stdout", (data) => process.stdout.write(data.message));
stream.on("end", async () => {
  await checked;
  for (const line of skipped) console.log(`skipped ${line}`);
  for (const [file, seconds] of [...secondsOf].sort(([, one], [, other]) => other - one).slice(0, slowestShown))
    console.log(`${Math.round(seconds)} s ${relative(root, file)}`);
  console.log(`${files.length} test files in ${Math.round((Date.now() - started) / 1000)} s, seed ${seed}`);
  console.log(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ""}`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
});
stream.resume();

function countTime({
  file = "",
  nesting,
  details,
}: {
  file?: string;
  nesting: number;
  details: { duration_ms: number };
}) {
  if (nesting === 0) secondsOf.set(file, (secondsOf.get(file) ?? 0) + details.duration_ms / 1000);
}

/** The longest first; then those that wait for processes, and between them, evenly, those that only compute. */
function inOrder(all: readonly string[]): readonly string[] {
  const isLong = (file: string) => longest.some((part) => file.startsWith(part));
  const waiting = all.filter((file) => file.startsWith("test/process/") && !isLong(file));
  const computing = all.filter((file) => !file.startsWith("test/process/"));
  const places = [waiting, computing].flatMap((group) =>
    group.map((file, index) => ({ file, place: (index + 0.5) / group.length })),
  );
  places.sort((one, other) => one.place - other.place);
  return [...all.filter(isLong), ...places.map(({ file }) => file)];
}
