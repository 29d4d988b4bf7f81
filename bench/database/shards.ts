import { execFile } from "node:child_process";
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { usageOf } from "../aws-door/process-usage.ts";
import { productEnvironment, productFlags } from "../product-flags.ts";
import { Client } from "./client.ts";
import { type Subject, type SubjectName, type SubjectOptions, startSubject } from "./subjects.ts";

/** From the start of the volume until one of its shards has been read. */
const mostSeconds = 2;
/** One in so many shards is enough to see what a start of influxd takes for each. */
const oneIn = 20;
const compactionMs = 8000;
const database = "many";
const query = "SELECT count(v) FROM m";

/** What a start of influxd takes. */
interface Start {
  /** Until clients can connect. */
  readonly readySeconds: number;
  /** The first request then. */
  readonly answerSeconds: number;
  readonly cpuSeconds: ReadonlyMap<string, number>;
}

/**
 * What many shards cost at a start. First bench/database-shards.ts: a volume whose shards were made without influxd is opened, and one
 * of them read; this is what the target is for. Then influxd with fewer shards, by itself and as an encrypted database: it opens every shard
 * before it answers anyone, so there is no target for that.
 *
 * @returns The targets that were missed.
 */
export async function measureShards(
  shards: number,
  options: SubjectOptions,
  tell: (what: string) => void,
): Promise<readonly string[]> {
  tell(`volume with ${shards} shards`);
  const seconds = await volumeWithShards(shards);
  const few = Math.ceil(shards / oneIn);
  const starts = new Map<SubjectName, Start>();
  for (const name of ["plain", "SM4"] as const) starts.set(name, await startWith(few, name, options, tell));
  tell("");
  const verdict = seconds < mostSeconds ? "met" : "MISSED";
  console.log(
    `\n${shards} shards made without influxd, volume opened and one read: ${seconds.toFixed(2)} s, target: below ${mostSeconds} s: ${verdict}`,
  );
  console.log(`start of influxd with ${few} shards, copies of one:`);
  for (const [name, { readySeconds, answerSeconds, cpuSeconds }] of starts) {
    const cpu = [...cpuSeconds].map(([each, spent]) => `${each} ${spent.toFixed(1)} s`).join(", ");
    console.log(
      `  ${name.padEnd(6)} ready after ${readySeconds.toFixed(2)} s, first request ${(answerSeconds * 1000).toFixed(1)} ms; CPU: ${cpu}`,
    );
  }
  return verdict === "met" ? [] : [`a volume with ${shards} shards opened and one read: ${seconds.toFixed(2)} s`];
}

/** Until a volume is open and one of its shards read. */
async function volumeWithShards(shards: number): Promise<number> {
  const bench = join(import.meta.dirname, "../database-shards.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [...productFlags(), bench, String(shards)], {
    env: productEnvironment(),
  });
  const taken = ["opening the volume", "first read of one shard"].map((what) => {
    const line = stdout.split("\n").find((each) => each.startsWith(what));
    return Number(line?.match(/([\d.]+) s$/)?.[1]);
  });
  return taken.reduce((sum, each) => sum + each, 0);
}

/**
 * influxd makes one shard, with a point in it; its folders are copied under the numbers of the others while influxd does nothing. On a
 * volume each copy is a zone with a sub-key in an SM2 envelope.
 */
async function startWith(
  shards: number,
  name: SubjectName,
  options: SubjectOptions,
  tell: (what: string) => void,
): Promise<Start> {
  const folder = join(options.work, `shards-${name}`);
  await withSubject(name, folder, options, async (subject, client) => {
    await client.query(`CREATE DATABASE ${database}${subject.clause}`);
    await client.write(database, Buffer.from("m,host=a v=1 1700000000000000000\n"));
    // Its write-ahead log becomes a file of the shard.
    await sleep(compactionMs);
    const root = name === "plain" ? folder : join(folder, "root/data");
    await copyShards(root, shards, (done) => tell(`${name}: ${done} of ${shards} shards`));
  });
  tell(`${name}: start with ${shards} shards`);
  const beganMs = performance.now();
  return withSubject(name, folder, options, async (subject, client) => {
    const readyMs = performance.now();
    await client.query(query, database);
    const answeredMs = performance.now();
    return {
      readySeconds: (readyMs - beganMs) / 1000,
      answerSeconds: (answeredMs - readyMs) / 1000,
      cpuSeconds: cpuOf(subject),
    };
  });
}

async function withSubject<T>(
  name: SubjectName,
  folder: string,
  options: SubjectOptions,
  work: (subject: Subject, client: Client) => Promise<T>,
): Promise<T> {
  const subject = await startSubject(name, folder, options);
  const client = new Client(subject.port);
  try {
    return await work(subject, client);
  } finally {
    client.close();
    await subject.stop();
  }
}

/** The one shard's folders, in `data` and `wal`, under other numbers. */
async function copyShards(root: string, shards: number, tell: (done: number) => void): Promise<void> {
  const [original] = await readdir(join(root, "data", database, "autogen"));
  if (original === undefined) throw new Error("influxd has made no shard");
  for (let number = Number(original) + 1; number < Number(original) + shards; number += 1) {
    for (const part of ["data", "wal"]) {
      const policy = join(root, part, database, "autogen");
      const copy = join(policy, String(number));
      await mkdir(copy);
      const from = join(policy, original);
      for (const entry of await readdir(from)) await copyFile(join(from, entry), join(copy, entry));
    }
    if (number % 100 === 0) tell(number);
  }
}

function cpuOf({ processes }: Subject): ReadonlyMap<string, number> {
  return new Map([...processes].map(([name, pid]) => [name, usageOf(pid).cpuMs / 1000]));
}
