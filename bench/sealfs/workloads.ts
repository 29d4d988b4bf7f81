import { randomFillSync } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ClassicLevel } from "classic-level";

/** What is measured; each leaves what the next of its group needs. */
export const measures = [
  "write 128 MB",
  "cold read 128 MB",
  "create 10,000 files",
  "read them, cold",
  "read them, warm",
  "stat them, cold",
  "remove them",
  "LevelDB fill",
  "LevelDB random read",
  "SQLite, write-ahead log",
  "SQLite, rollback journal",
] as const;
export type Measure = (typeof measures)[number];

/** Called before what is to be read from the disk. */
type DropCaches = () => void;

const megabyte = 2 ** 20;
const bigBytes = 128 * megabyte;
const folders = 10;
const filesOfFolder = 1000;
const smallBytes = 1024;
const levelRows = 40_000;
const levelReads = 20_000;
const levelValueBytes = 1024;
const transactions = 300;

const chunk = randomFillSync(Buffer.alloc(megabyte));
const small = randomFillSync(Buffer.alloc(smallBytes));
const values = randomFillSync(Buffer.alloc(levelValueBytes * 64));

/** Runs one measure within a folder. @returns How many units (MB, files, rows, transactions) it did in a second. */
export async function measured(measure: Measure, folder: string, dropCaches: DropCaches): Promise<number> {
  switch (measure) {
    case "write 128 MB":
      return perSecond(bigBytes / megabyte, () => writeBig(join(folder, "big")));
    case "cold read 128 MB":
      dropCaches();
      return perSecond(bigBytes / megabyte, () => readBig(join(folder, "big")));
    case "create 10,000 files":
      return perSecond(folders * filesOfFolder, () => createSmall(folder));
    case "read them, cold":
      dropCaches();
      return perSecond(folders * filesOfFolder, () => eachSmall(folder, readSmall));
    case "read them, warm":
      return perSecond(folders * filesOfFolder, () => eachSmall(folder, readSmall));
    case "stat them, cold":
      dropCaches();
      return perSecond(folders * filesOfFolder, () => eachSmall(folder, lstatSync));
    case "remove them":
      return perSecond(folders * filesOfFolder, () => eachSmall(folder, unlinkSync));
    case "LevelDB fill":
      return await fillLevel(join(folder, "level"));
    case "LevelDB random read":
      dropCaches();
      return await readLevel(join(folder, "level"));
    case "SQLite, write-ahead log":
      return transact(join(folder, "wal.sqlite"), "wal");
    case "SQLite, rollback journal":
      return transact(join(folder, "journal.sqlite"), "delete");
  }
}

/** Removes what the measures have left. */
export function clear(folder: string): void {
  for (const name of ["big", "small", "level", "wal.sqlite", "journal.sqlite", "wal.sqlite-wal", "wal.sqlite-shm"])
    rmSync(join(folder, name), { recursive: true, force: true });
}

function perSecond(units: number, run: () => void): number {
  const beganMs = performance.now();
  run();
  return (units * 1000) / (performance.now() - beganMs);
}

function writeBig(path: string): void {
  const descriptor = openSync(path, "w");
  for (let at = 0; at < bigBytes; at += megabyte) writeSync(descriptor, chunk);
  fsyncSync(descriptor);
  closeSync(descriptor);
}

function readBig(path: string): void {
  const into = Buffer.alloc(megabyte);
  const descriptor = openSync(path, "r");
  let got = 0;
  for (let count = -1; count !== 0; got += count) count = readSync(descriptor, into);
  closeSync(descriptor);
  if (got !== bigBytes || !into.equals(chunk)) throw new Error(`${path} holds something else`);
}

function createSmall(folder: string): void {
  for (let group = 0; group < folders; group += 1) mkdirSync(join(folder, "small", `${group}`), { recursive: true });
  eachSmall(folder, (path) => writeFileSync(path, small));
}

function readSmall(path: string): void {
  if (readFileSync(path).length !== smallBytes) throw new Error(`${path} holds something else`);
}

function eachSmall(folder: string, run: (path: string) => void): void {
  for (let group = 0; group < folders; group += 1)
    for (let file = 0; file < filesOfFolder; file += 1) run(join(folder, "small", `${group}`, `file-${file}`));
}

const levelKey = (row: number) => `row-${String((row * 7919) % levelRows).padStart(12, "0")}`;

async function fillLevel(location: string): Promise<number> {
  const level = new ClassicLevel<string, Buffer>(location, { valueEncoding: "buffer", compression: false });
  await level.open();
  const beganMs = performance.now();
  for (let row = 0; row < levelRows; row += 100) {
    const batch = level.batch();
    for (let each = row; each < row + 100; each += 1) {
      const at = (each % 63) * levelValueBytes;
      batch.put(levelKey(each), values.subarray(at, at + levelValueBytes));
    }
    // One batch in twenty is waited for, as by a node at the end of a block.
    await batch.write({ sync: row % 2000 === 0 });
  }
  await level.close();
  return (levelRows * 1000) / (performance.now() - beganMs);
}

async function readLevel(location: string): Promise<number> {
  const level = new ClassicLevel<string, Buffer>(location, { valueEncoding: "buffer", compression: false });
  await level.open();
  const beganMs = performance.now();
  for (let read = 0; read < levelReads; read += 1) {
    const value = level.getSync(levelKey((read * 104_729) % levelRows));
    if (value?.length !== levelValueBytes) throw new Error("LevelDB lost a row");
  }
  const rate = (levelReads * 1000) / (performance.now() - beganMs);
  await level.close();
  return rate;
}

function transact(path: string, journal: "wal" | "delete"): number {
  const database = new DatabaseSync(path);
  try {
    database.exec(`PRAGMA journal_mode = ${journal}; PRAGMA synchronous = FULL; CREATE TABLE t (id INTEGER, v BLOB)`);
    const insert = database.prepare("INSERT INTO t VALUES (?, ?)");
    return perSecond(transactions, () => {
      for (let each = 0; each < transactions; each += 1) insert.run(each, small);
    });
  } finally {
    database.close();
  }
}
