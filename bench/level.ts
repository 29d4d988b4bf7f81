/**
 * Encrypted level against plain classic-level: the same rows, in one run, rounds interleaved.
 *
 *   node bench/level.ts [--rows N] [--rounds N]
 *
 * Prints the median of each measure as rows a second and as a share of plain, beside its target. Exit code 1 when a
 * measure of the AES suite is below its target.
 */
import { randomFillSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { AbstractLevel } from "abstract-level";
import { ClassicLevel } from "classic-level";
import { EncryptedLevel, SecretBuffer } from "../src/level/index.ts";
import { fastestCipherProvider } from "../src/level/openssl-cipher.ts";

const { values: flags } = parseArgs({
  options: { rows: { type: "string", default: "50000" }, rounds: { type: "string", default: "5" } },
});
const rows = Number(flags.rows);
const rounds = Number(flags.rounds);
const valueBytes = 1024;
const keyBytes = 16;
const readsPerCall = 100;

type Level = AbstractLevel<unknown, Buffer, Buffer>;
type Contender = "plain" | "intl" | "sm";
const contenders: readonly Contender[] = ["plain", "intl", "sm"];
const encodings = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;

/** What is measured, and the least share of plain that the AES suite must reach. */
const measures = {
  "batch put, 1000 a batch": 0.45,
  "batch put, 100 a batch": 0.45,
  "random get": 0.6,
  "random getSync": undefined,
  "getMany, 100 a call": 0.6,
  "iteration, for await": 0.4,
  "iteration, nextv(1000)": 0.4,
} as const;
type Measure = keyof typeof measures;

const folder = mkdtempSync(join(tmpdir(), "bench-level-"));
const dataKey = SecretBuffer.random(32);
const keys = randomFillSync(Buffer.alloc(rows * keyBytes));
const values = randomFillSync(Buffer.alloc(rows * valueBytes));
const keyAt = (row: number) => keys.subarray(row * keyBytes, (row + 1) * keyBytes);
const valueAt = (row: number) => values.subarray(row * valueBytes, (row + 1) * valueBytes);
const randomOrder = shuffled(rows);
const results = new Map<string, number[]>();

async function run(): Promise<void> {
  for (let round = 0; round <= rounds; round++)
    for (let turn = 0; turn < contenders.length; turn++) {
      // Each takes every place in turn; round 0 warms up and is not counted.
      const contender = contenders[(turn + round) % contenders.length] as Contender;
      const record =
        round === 0 ? () => {} : (measure: Measure, perSecond: number) => add(contender, measure, perSecond);
      await measureRound(contender, `${contender}-${round}`, record);
      process.stderr.write(`\rround ${round} of ${rounds}, ${contender}   `);
    }
  process.stderr.write("\r                         \r");
}

async function measureRound(
  contender: Contender,
  name: string,
  record: (measure: Measure, perSecond: number) => void,
): Promise<void> {
  for (const [measure, batchRows] of [
    ["batch put, 100 a batch", 100],
    ["batch put, 1000 a batch", 1000],
  ] as const) {
    const location = join(folder, `${name}-${batchRows}`);
    const level = openLevel(contender, location);
    await level.open();
    record(measure, await rate(() => putAll(level, batchRows)));
    if (batchRows === 1000) {
      record("random get", await rate(() => getAll(level), rows / 2));
      record("random getSync", await rate(() => getAllSync(level), rows / 2));
      record("getMany, 100 a call", await rate(() => getAllMany(level)));
      record("iteration, for await", await rate(() => iterate(level)));
      record("iteration, nextv(1000)", await rate(() => iterateMany(level)));
    }
    await level.close();
    rmSync(location, { recursive: true });
  }
}

function openLevel(contender: Contender, location: string): Level {
  const level =
    contender === "plain"
      ? new ClassicLevel<Buffer, Buffer>(location, encodings)
      : new EncryptedLevel<Buffer, Buffer>(location, { ...encodings, dataKey, suite: contender });
  return level as unknown as Level;
}

async function putAll(level: Level, batchRows: number): Promise<void> {
  for (let row = 0; row < rows; row += batchRows) {
    const operations = [];
    for (let index = row; index < Math.min(rows, row + batchRows); index++)
      operations.push({ type: "put" as const, key: keyAt(index), value: valueAt(index) });
    await level.batch(operations);
  }
}

async function getAll(level: Level): Promise<void> {
  for (let index = 0; index < rows / 2; index++) {
    const row = randomOrder[index] as number;
    check(row, await level.get(keyAt(row)));
  }
}

async function getAllSync(level: Level): Promise<void> {
  for (let index = 0; index < rows / 2; index++) {
    const row = randomOrder[index] as number;
    check(row, level.getSync(keyAt(row)));
  }
}

async function getAllMany(level: Level): Promise<void> {
  for (let first = 0; first < rows; first += readsPerCall) {
    const wanted = randomOrder.slice(first, first + readsPerCall);
    const found = await level.getMany(wanted.map(keyAt));
    for (const [index, row] of wanted.entries()) check(row, found[index]);
  }
}

async function iterate(level: Level): Promise<void> {
  let count = 0;
  for await (const [, value] of level.iterator()) if (value.length === valueBytes) count += 1;
  if (count !== rows) throw new Error(`iteration gave ${count} rows of ${rows}`);
}

async function iterateMany(level: Level): Promise<void> {
  let count = 0;
  const iterator = level.iterator();
  for (;;) {
    const entries = await iterator.nextv(1000);
    if (entries.length === 0) break;
    count += entries.length;
  }
  await iterator.close();
  if (count !== rows) throw new Error(`iteration gave ${count} rows of ${rows}`);
}

/** The first bytes tell one random row from another; the whole of it is the tests' matter. */
function check(row: number, value: Buffer | undefined): void {
  if (value?.length !== valueBytes || value.readUInt32LE(0) !== values.readUInt32LE(row * valueBytes))
    throw new Error(`row ${row} came back wrong`);
}

async function rate(work: () => Promise<void>, count = rows): Promise<number> {
  const startedMs = performance.now();
  await work();
  return (count / (performance.now() - startedMs)) * 1000;
}

function add(contender: Contender, measure: Measure, perSecond: number): void {
  const name = `${contender} ${measure}`;
  results.set(name, [...(results.get(name) ?? []), perSecond]);
}

function medianOf(contender: Contender, measure: Measure): number {
  const sorted = [...(results.get(`${contender} ${measure}`) ?? [])].sort((left, right) => left - right);
  return sorted[sorted.length >> 1] ?? 0;
}

async function report(): Promise<boolean> {
  const row = (cells: readonly string[]) =>
    console.log(cells.map((cell, at) => (at === 0 ? cell.padEnd(26) : cell.padStart(12))).join(""));
  const { name } = await fastestCipherProvider();
  console.log(`${rows} rows of ${valueBytes} bytes, median of ${rounds} rounds, rows a second, ciphers by ${name}`);
  row(["", "plain", "intl", "of plain", "target", "", "sm", "of plain"]);
  let passed = true;
  for (const [measure, target] of Object.entries(measures) as [Measure, number | undefined][]) {
    const plain = medianOf("plain", measure);
    const share = medianOf("intl", measure) / plain;
    const ok = target === undefined || share >= target;
    passed &&= ok;
    row([
      measure,
      plain.toFixed(0),
      medianOf("intl", measure).toFixed(0),
      percent(share),
      target === undefined ? "" : percent(target),
      target === undefined ? "" : ok ? "ok" : "BELOW",
      medianOf("sm", measure).toFixed(0),
      percent(medianOf("sm", measure) / plain),
    ]);
  }
  return passed;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function shuffled(count: number): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [order[last], order[other]] = [order[other] as number, order[last] as number];
  }
  return order;
}

try {
  await run();
  process.exitCode = (await report()) ? 0 : 1;
} finally {
  dataKey[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
}
