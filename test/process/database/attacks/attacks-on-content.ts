import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { AttackedInstance } from "./attacked-instance.ts";

/** What somebody does to an instance's folder who can write to it while nobody serves it. */
export type Attack = (folder: string) => void;

const slotsAt = 8192;
/** A block of 16 KiB and what seals it. */
const slotBytes = 16_384 + 32;

const [firstShard, secondShard] = [1, 2];
const tsm = (shard: number): RegExp => new RegExp(`^data/data/enc/autogen/${shard}/[^/]*\\.tsm$`);
const wal = (shard: number): RegExp => new RegExp(`^data/wal/enc/autogen/${shard}/[^/]*\\.wal$`);

/** Attacks on the stored files and folders of an encrypted database. */
export function attacksOnContent(attacked: AttackedInstance): ReadonlyMap<string, Attack> {
  const place = (folder: string, pattern: RegExp): string => attacked.stored(folder, pattern);
  const shardOf = (folder: string, file: RegExp): string => dirname(place(folder, file));
  return new Map<string, Attack>([
    [
      "an old block in the place of its newer version",
      (folder) => {
        const older = slotsOf(readFileSync(place(attacked.older, wal(secondShard))));
        const file = place(folder, wal(secondShard));
        const bytes = readFileSync(file);
        const live = slotsOf(bytes);
        const [old] = older.filter((slot) => !isBlank(slot));
        if (old === undefined) throw new Error("there is no older block");
        for (const [index, slot] of live.entries())
          if (!isBlank(slot)) old.copy(bytes, slotsAt + index * slotBytes, 0, slot.length);
        writeFileSync(file, bytes);
      },
    ],
    ["a hole in a file", (folder) => punch(place(folder, tsm(firstShard)), slotsAt, slotBytes)],
    ["a hole in the log of writes", (folder) => punch(place(folder, wal(secondShard)), slotsAt, 64 * slotBytes)],
    ["a file cut behind its heads", (folder) => truncateSync(place(folder, tsm(firstShard)), slotsAt)],
    ["a file cut in its only block", (folder) => truncateSync(place(folder, tsm(firstShard)), slotsAt + 100)],
    ["a file cut to nothing", (folder) => truncateSync(place(folder, tsm(firstShard)), 0)],
    ["a log of writes cut to nothing", (folder) => truncateSync(place(folder, wal(secondShard)), 0)],
    ["two files exchanged", (folder) => exchange(place(folder, tsm(firstShard)), place(folder, tsm(secondShard)))],
    [
      "the content of two files exchanged",
      (folder) => {
        const [one, other] = [place(folder, tsm(firstShard)), place(folder, tsm(secondShard))];
        const bytes = readFileSync(one);
        writeFileSync(one, readFileSync(other));
        writeFileSync(other, bytes);
      },
    ],
    [
      "a block of another file",
      (folder) => {
        const [from, to] = [place(folder, tsm(firstShard)), place(folder, tsm(secondShard))];
        const bytes = readFileSync(to);
        readFileSync(from).copy(bytes, slotsAt, slotsAt, slotsAt + slotBytes);
        writeFileSync(to, bytes);
      },
    ],
    ["two shards exchanged", (folder) => exchange(shardOf(folder, tsm(firstShard)), shardOf(folder, tsm(secondShard)))],
    [
      "what is in two shards exchanged",
      (folder) => exchangeEntries(shardOf(folder, tsm(firstShard)), shardOf(folder, tsm(secondShard))),
    ],
    [
      "a shard in the place of another one's log of writes",
      (folder) => exchange(shardOf(folder, tsm(firstShard)), shardOf(folder, wal(secondShard))),
    ],
    ["an older key table", (folder) => cpSync(join(attacked.older, "store/keys"), join(folder, "store/keys"))],
    [
      "one bit of a block changed",
      (folder) => {
        const file = place(folder, tsm(firstShard));
        const bytes = readFileSync(file);
        bytes.writeUInt8(bytes.readUInt8(slotsAt + 60) ^ 1, slotsAt + 60);
        writeFileSync(file, bytes);
      },
    ],
  ]);
}

/** Beside the head, whose place is one of the first two. */
function slotsOf(bytes: Buffer): readonly Buffer[] {
  const slots: Buffer[] = [];
  for (let at = slotsAt; at < bytes.length; at += slotBytes) slots.push(bytes.subarray(at, at + slotBytes));
  return slots;
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

function punch(file: string, at: number, bytes: number): void {
  const { status, stderr } = spawnSync("fallocate", ["-p", "-o", String(at), "-l", String(bytes), file], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
}

function exchange(one: string, other: string): void {
  const aside = join(dirname(one), "aside");
  renameSync(one, aside);
  renameSync(other, one);
  renameSync(aside, other);
}

function exchangeEntries(one: string, other: string): void {
  const [ofOne, ofOther] = [one, other].map((folder) => readdirSync(folder));
  const aside = `${one}-aside`;
  renameSync(one, aside);
  // New folders of the same names, each with the entries of the other: their marks are not there either.
  spawnSync("cp", ["-a", other, one]);
  for (const name of ofOther ?? []) rmSync(join(other, name));
  for (const name of ofOne ?? []) renameSync(join(aside, name), join(other, name));
  rmSync(aside, { recursive: true });
}
