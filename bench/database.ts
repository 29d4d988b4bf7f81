/**
 * influxd by itself against influxd behind the proxy and on sealfs (`strongroom db serve`): the same points and queries, in one run,
 * rounds interleaved.
 *
 *   node bench/database.ts [--rounds N] [--points N] [--shards N] [--subjects NAME,NAME] [--profile FOLDER]
 *
 * Subjects: `plain`, and an encrypted database with `SM4` (the provider that is chosen here), `SM4 node:crypto`, `AES-256-GCM`. In each round every
 * subject is started on an empty folder and gets the points, 5,000 a request over one connection; then influxd compacts what it has, so
 * that all have the same files; then each of 8 kinds of query is asked at every subject in turn, 7 times, and once before that. `--points` is a multiple
 * of 5,000. `--shards` is how many shards the last measure has, none with 0. `--profile` takes CPU profiles of the proxy and the volume's server.
 *
 * All subjects have the same settings of influxd: those that `db serve` gives it, and compactions that begin 3 s after the last write
 * instead of 10 minutes and 4 hours. Root and /dev/fuse are needed. Client, proxy, influxd and the volume's server share the machine's
 * cores. Ratios are taken round by round; their medians are compared with the targets. Ends with 1 when one is missed.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chooseSm4 } from "../src/crypto/sm4/choose.ts";
import { bodiesOf, linesOfRequest, queriesOver } from "./database/points.ts";
import { report } from "./database/report.ts";
import { type Figures, runRound } from "./database/round.ts";
import { measureShards } from "./database/shards.ts";
import { type SubjectName, subjectNames } from "./database/subjects.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    points: { type: "string", default: "1000000" },
    shards: { type: "string", default: "10000" },
    subjects: { type: "string" },
    profile: { type: "string" },
  },
});
const [rounds, points, shards] = [Number(values.rounds), Number(values.points), Number(values.shards)];
if (points % linesOfRequest !== 0) throw new RangeError(`--points ${points} is not a multiple of ${linesOfRequest}`);
const names = subjectNames.filter((name) => values.subjects?.split(",").includes(name) ?? true);

const influxdSettings = `[data]
cache-snapshot-write-cold-duration = "3s"
compact-full-write-cold-duration = "3s"
`;

const work = mkdtempSync(join(tmpdir(), "strongroom-bench-database-"));
try {
  const influxdConfig = join(work, "influxdb.conf");
  writeFileSync(influxdConfig, influxdSettings);
  const queries = queriesOver(points);
  const options = { work, influxdConfig, profileFolder: values.profile };
  const all: ReadonlyMap<SubjectName, Figures>[] = [];
  const bodies = rounds > 0 ? bodiesOf(points) : [];
  for (let round = 0; round < rounds; round += 1)
    all.push(
      await runRound({ ...options, names, bodies, queries }, round % names.length, (what) =>
        progress(`round ${round + 1} of ${rounds}, ${what}`),
      ),
    );
  progress("");
  const { provider } = chooseSm4();
  const missed: string[] = [];
  if (rounds > 0)
    missed.push(...report({ names, rounds: all, points, kinds: [...queries.keys()], sm4: provider.name }));
  if (shards > 0) missed.push(...(await measureShards(shards, options, progress)));
  for (const each of missed) console.log(`MISSED  ${each}`);
  if (missed.length === 0) console.log("all targets met");
  process.exitCode = missed.length === 0 ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

function progress(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${what.padEnd(78)}${what === "" ? "\r" : ""}`);
}
