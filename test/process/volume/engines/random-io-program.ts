/**
 * Random reads, writes, truncates, holes and shared mappings of one file, some beyond 4 GiB and some past the page cache, each compared with a model:
 *
 *   node random-io-program.ts PATH SEED STEPS ROUND
 *
 * Each round replays the steps of those before on the model alone, checks what the file holds by then, and goes on. Prints `same` at the end.
 * Exit code 1, with the step, at the first difference.
 */
import { deepEqual, equal } from "node:assert/strict";
import * as fs from "node:fs";
import { FileModel } from "../../../property/volume/sealfs/store/file-model.ts";
import { Dice } from "../../../property/volume/sealfs/store/random-steps.ts";
import { AlignedMemory, Mapping, native } from "../../../sealfs/compare/native-calls.ts";

const pageBytes = 4096;
const mostBytes = 200_000;
const near = 2_000_000;
const farBytes = 2 ** 32;
const punchKeepingSize = 3;
const { O_CREAT, O_DIRECT, O_RDWR } = fs.constants;

const [path = "", seedText, stepsText, roundText] = process.argv.slice(2);
const [seed, steps, round] = [Number(seedText), Number(stepsText), Number(roundText)];
const model = new FileModel();
const dice = new Dice(seed);
const memory = new AlignedMemory(mostBytes + pageBytes);
let descriptor: number | undefined;
for (let played = 0; played <= round; played += 1) {
  if (played === round) {
    descriptor = fs.openSync(path, O_RDWR | O_CREAT, 0o600);
    verify();
  }
  for (let step = 0; step < steps; step += 1) {
    const what = play();
    if (descriptor !== undefined) equal(fs.fstatSync(descriptor).size, model.size, `step ${step}: size after ${what}`);
  }
}
verify();
if (descriptor !== undefined) fs.closeSync(descriptor);
console.log("same");

/** The dice fall the same whether or not there is a file. */
function play(): string {
  const kind = dice.below(12);
  const at = (dice.below(6) === 0 ? farBytes - near / 2 : 0) + dice.below(near);
  const length = 1 + dice.below(dice.below(3) === 0 ? mostBytes : 3000);
  const page = at - (at % pageBytes);
  const pages = Math.ceil(length / pageBytes) * pageBytes;
  switch (kind) {
    case 0: {
      const size = dice.below(4) === 0 ? at : Math.max(0, model.size - dice.below(near));
      if (descriptor !== undefined) fs.ftruncateSync(descriptor, size);
      model.truncate(size);
      return "truncate";
    }
    case 1:
      if (descriptor !== undefined) native.fallocate(descriptor, punchKeepingSize, at, length);
      model.punch(at, length);
      return "punch";
    case 2: {
      const bytes = dice.bytes(pages);
      if (descriptor !== undefined) directly((direct) => equal(memory.write(direct, page, bytes), pages));
      model.write(page, bytes);
      return "direct write";
    }
    case 3:
      if (descriptor !== undefined && page < model.size)
        directly((direct) => {
          const into = Buffer.alloc(pages);
          const got = memory.read(direct, page, into);
          same(into.subarray(0, got), model.read(page, pages), "direct read", page);
        });
      return "direct read";
    case 4:
    case 5:
      return throughMapping(kind === 4, at, length);
    case 6:
      if (descriptor !== undefined) fs.fsyncSync(descriptor);
      return "fsync";
    case 7:
    case 8:
      if (descriptor !== undefined) {
        const into = Buffer.alloc(length);
        const got = fs.readSync(descriptor, into, 0, length, at);
        same(into.subarray(0, got), model.read(at, length), "read", at);
      }
      return "read";
    default: {
      const bytes = dice.bytes(length);
      const to = kind === 9 ? model.size : at;
      if (descriptor !== undefined) equal(fs.writeSync(descriptor, bytes, 0, length, to), length);
      model.write(to, bytes);
      return "write";
    }
  }
}

/** Only within the file: what lies beyond the end of a mapped file raises a signal. */
function throughMapping(writes: boolean, wished: number, wishedLength: number): string {
  const bytes = dice.bytes(wishedLength);
  const syncs = dice.below(2) === 0;
  const at = wished < model.size ? wished : Math.max(0, model.size - wishedLength);
  const part = bytes.subarray(0, Math.max(0, model.size - at));
  if (part.length === 0) return "nothing to map";
  if (descriptor !== undefined) {
    const within = at % pageBytes;
    const mapping = new Mapping(descriptor, at, within + part.length);
    const before = Buffer.alloc(part.length);
    mapping.read(within, before);
    same(before, model.read(at, part.length), "mapped read", at);
    if (writes) mapping.write(within, part);
    if (writes && syncs) mapping.sync();
    mapping.close();
  }
  if (writes) model.write(at, part);
  return writes ? "mapped write" : "mapped read";
}

function directly(use: (direct: number) => void): void {
  const direct = fs.openSync(path, O_RDWR | O_DIRECT);
  try {
    use(direct);
  } finally {
    fs.closeSync(direct);
  }
}

/** Everything that may hold data: the start, what lies around 4 GiB, and the end. */
function verify(): void {
  if (descriptor === undefined) return;
  equal(fs.fstatSync(descriptor).size, model.size, "size");
  const span = near + mostBytes + pageBytes;
  for (const from of [0, farBytes - near, model.size - span])
    for (let at = Math.max(0, from); at < Math.min(model.size, from + 2 * span); at += mostBytes) {
      const into = Buffer.alloc(mostBytes);
      const got = fs.readSync(descriptor, into, 0, mostBytes, at);
      same(into.subarray(0, got), model.read(at, mostBytes), "what is there", at);
    }
}

function same(got: Buffer, expected: Buffer, what: string, at: number): void {
  equal(got.length, expected.length, `${what} at ${at}: length`);
  if (got.equals(expected)) return;
  const first = got.findIndex((byte, index) => byte !== expected[index]);
  deepEqual(got.subarray(first, first + 8), expected.subarray(first, first + 8), `${what} at ${at + first}`);
}
