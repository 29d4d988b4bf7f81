/**
 * sealfs (AES and SM4, tree integrity) against gocryptfs and the plain folder beneath: the same work on each, in one run, rounds
 * interleaved.
 *
 *   node bench/sealfs.ts [--rounds N] [--only TEXT,TEXT] [--subjects NAME,NAME] [--block-size N] [--integrity blocks|tree] [--profile FOLDER]
 *
 * `--only` takes the measures whose name holds one of the texts (`128`, `them` and `create`, `LevelDB`, `SQLite`); one that reads needs
 * the one that writes. `--profile` takes a CPU profile of each sealfs server. Run as root: the kernel's caches are dropped before
 * what is read cold.
 *
 * Prints medians of units a second and, as the median of the rounds' own ratios, the share of gocryptfs. Target: 80 % of gocryptfs
 * on each measure, and more than it on at least two. The kernel, the server and the program share the machine's cores.
 */
import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { answerOf } from "./child-processes.ts";
import { median, percent, type Rounds, ratios } from "./device/rounds.ts";
import { openSubject, type Subject, type SubjectName, subjectNames } from "./sealfs/subjects.ts";
import type { Order } from "./sealfs/worker.ts";
import { type Measure, measures } from "./sealfs/workloads.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    only: { type: "string" },
    subjects: { type: "string" },
    "block-size": { type: "string" },
    integrity: { type: "string", default: "tree" },
    profile: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const share = 0.8;
const chosen = measures.filter((name) => values.only?.split(",").some((text) => name.includes(text)) ?? true);
const names = subjectNames.filter((name) => values.subjects?.split(",").includes(name) ?? true);
const isRoot = process.getuid?.() === 0;
const figures = new Map<string, number[]>();

const work = mkdtempSync(join(tmpdir(), "strongroom-bench-sealfs-"));
const worker = fork(join(import.meta.dirname, "sealfs/worker.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
const subjects: Subject[] = [];
try {
  const { integrity } = values;
  const parameters = { integrity, ...(values["block-size"] === undefined ? {} : { blockSize: values["block-size"] }) };
  const profile = values.profile === undefined ? {} : { profileFolder: values.profile };
  for (const name of names) subjects.push(await openSubject(name, work, { parameters, ...profile }));
  for (let round = 0; round < rounds; round += 1) await runRound(round);
  report();
} finally {
  worker.kill();
  for (const subject of subjects) await subject.close();
  rmSync(work, { recursive: true, force: true });
}

/** Every measure on every subject, which take each place in turn. */
async function runRound(round: number): Promise<void> {
  for (const measure of chosen)
    for (let turn = 0; turn < subjects.length; turn += 1) {
      const subject = subjects[(turn + round) % subjects.length];
      if (subject === undefined) continue;
      if (process.stderr.isTTY)
        process.stderr.write(`\rround ${round + 1} of ${rounds}, ${subject.name}, ${measure}`.padEnd(70));
      const perSecond = await order(measure, subject);
      const key = keyOf(subject.name, measure);
      figures.set(key, [...(figures.get(key) ?? []), perSecond]);
    }
  for (const subject of subjects) await order("clear", subject);
  if (process.stderr.isTTY) process.stderr.write(`\r${" ".repeat(70)}\r`);
}

async function order(measure: Order["measure"], { folder }: Subject): Promise<number> {
  worker.send({ measure, folder, mayDrop: isRoot } satisfies Order);
  return await answerOf<number>(worker);
}

function report(): void {
  console.log(
    `medians of ${rounds}, a second${isRoot ? "" : "; caches were not dropped: not root"}; in brackets the share of gocryptfs\n`,
  );
  console.log("".padEnd(26) + names.map((name) => name.padStart(18)).join(""));
  const missed: string[] = [];
  const ahead = new Map<SubjectName, number>();
  for (const measure of chosen) {
    const cells = names.map((name) => {
      const own = roundsOf(name, measure);
      const figure = median(own).toFixed(0);
      if (!name.startsWith("sealfs") || !names.includes("gocryptfs")) return figure.padStart(18);
      const reached = median(ratios(own, roundsOf("gocryptfs", measure)));
      if (reached < share) missed.push(`${name}, ${measure}: ${percent(reached)}`);
      if (reached > 1) ahead.set(name, (ahead.get(name) ?? 0) + 1);
      return `${figure} (${percent(reached)})`.padStart(18);
    });
    console.log(measure.padEnd(26) + cells.join(""));
  }
  if (!names.includes("gocryptfs")) return;
  console.log(`\ntarget: ${percent(share)} of gocryptfs on each, more on at least two`);
  for (const name of names)
    if (name.startsWith("sealfs")) console.log(`${name}: more than gocryptfs on ${ahead.get(name) ?? 0}`);
  for (const each of missed) console.log(`MISSED  ${each}`);
  process.exitCode = missed.length === 0 && [...ahead.values()].every((count) => count >= 2) ? 0 : 1;
}

function roundsOf(name: SubjectName, measure: Measure): Rounds {
  return figures.get(keyOf(name, measure)) ?? [];
}

function keyOf(name: SubjectName, measure: Measure): string {
  return `${name}/${measure}`;
}
