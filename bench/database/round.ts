import { hash } from "node:crypto";
import { lstatSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { usageOf } from "../aws-door/process-usage.ts";
import { median } from "../device/rounds.ts";
import { Client } from "./client.ts";
import { linesOfRequest } from "./points.ts";
import { type Subject, type SubjectName, type SubjectOptions, startSubject } from "./subjects.ts";

/** What one subject did in one round. */
export interface Figures {
  readonly pointsPerSecond: number;
  /** From the first write until influxd had compacted all. */
  readonly cpuSeconds: ReadonlyMap<string, number>;
  /** Median of each kind of query. */
  readonly queryMs: Map<string, number>;
  diskBytes: number;
}

export interface Work extends SubjectOptions {
  readonly names: readonly SubjectName[];
  readonly bodies: readonly Buffer[];
  readonly queries: ReadonlyMap<string, string>;
}

/** Those whose data is under their own keys; the name lets what was meant be seen in logs. */
const database = "bench";
const repetitions = 7;
/** influxd compacts what has not been written to for some seconds: see the settings of bench/database.ts. */
const compactionBeginsMs = 6000;
const compactionMs = 60_000;
const quietMs = 500;
const mostQuietCpuMs = 10;

/**
 * One round: each subject is started anew and written to, then all are asked in turn, then the disk is looked at.
 *
 * @param first - Which subject begins.
 */
export async function runRound(
  work: Work,
  first: number,
  tell: (what: string) => void,
): Promise<ReadonlyMap<SubjectName, Figures>> {
  const figures = new Map<SubjectName, Figures>();
  const subjects: Subject[] = [];
  const stopped: string[] = [];
  const inTurn = (from: number) => work.names.map((_, at) => (at + from) % work.names.length);
  try {
    for (const at of inTurn(first)) {
      const name = work.names[at];
      if (name === undefined) continue;
      tell(`${name}: writing`);
      const subject = await startSubject(name, join(work.work, `instance-${at}`), work);
      subjects.push(subject);
      figures.set(name, await load(subject, work.bodies));
    }
    tell("queries");
    await askAll(subjects, work.queries, figures);
    while (subjects.length > 0) {
      const subject = subjects.shift();
      if (subject === undefined) break;
      stopped.push(subject.folder);
      await subject.stop();
      const own = figures.get(subject.name);
      if (own !== undefined) own.diskBytes = allocatedBytes(subject.folder);
    }
  } finally {
    for (const subject of subjects) {
      await subject.stop().catch(() => {});
      stopped.push(subject.folder);
    }
    for (const folder of stopped) rmSync(folder, { recursive: true, force: true });
  }
  return figures;
}

async function load({ port, clause, processes }: Subject, bodies: readonly Buffer[]): Promise<Figures> {
  const client = new Client(port);
  await client.query(`CREATE DATABASE ${database}${clause}`);
  const before = cpuOf(processes);
  const ownBefore = process.cpuUsage();
  const beganMs = performance.now();
  for (const body of bodies) await client.write(database, body);
  const seconds = (performance.now() - beganMs) / 1000;
  const own = process.cpuUsage(ownBefore);
  client.close();
  await compacted(processes);
  const cpuSeconds = new Map([...cpuOf(processes)].map(([name, ms]) => [name, (ms - (before.get(name) ?? 0)) / 1000]));
  cpuSeconds.set("client", (own.user + own.system) / 1e6);
  return { pointsPerSecond: (bodies.length * linesOfRequest) / seconds, cpuSeconds, queryMs: new Map(), diskBytes: 0 };
}

/** Each kind of query at each subject in turn, so that all have the same machine. */
async function askAll(
  subjects: readonly Subject[],
  queries: Work["queries"],
  figures: ReadonlyMap<SubjectName, Figures>,
): Promise<void> {
  const clients = subjects.map(({ port, name }) => ({ name, client: new Client(port) }));
  for (const [kind, text] of queries) {
    const answers = new Set<string>();
    const times = new Map<SubjectName, number[]>();
    // The first of each is not counted.
    for (let repetition = 0; repetition <= repetitions; repetition += 1)
      for (const at of clients.keys()) {
        const { name, client } = clients[(at + repetition) % clients.length] ?? clients[0] ?? {};
        if (name === undefined || client === undefined) continue;
        const beganMs = performance.now();
        const answer = await client.query(text, database);
        const tookMs = performance.now() - beganMs;
        if (repetition > 0) times.set(name, [...(times.get(name) ?? []), tookMs]);
        answers.add(hash("sha256", answer));
      }
    if (answers.size !== 1) throw new Error(`${kind}: the subjects give ${answers.size} different answers`);
    for (const [name, each] of times) figures.get(name)?.queryMs.set(kind, median(each));
  }
  for (const { client } of clients) client.close();
}

/** Until its processes have nothing to do. */
async function compacted(processes: Subject["processes"]): Promise<void> {
  await sleep(compactionBeginsMs);
  const untilMs = performance.now() + compactionMs;
  const total = () =>
    cpuOf(processes)
      .values()
      .reduce((sum, ms) => sum + ms, 0);
  for (let before = total(); performance.now() < untilMs; ) {
    await sleep(quietMs);
    const now = total();
    if (now - before <= mostQuietCpuMs) return;
    before = now;
  }
}

function cpuOf(processes: Subject["processes"]): ReadonlyMap<string, number> {
  return new Map([...processes].map(([name, pid]) => [name, usageOf(pid).cpuMs]));
}

/** Holes are not counted. */
function allocatedBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => lstatSync(join(folder, name)).blocks * 512)
    .reduce((sum, bytes) => sum + bytes, 0);
}
