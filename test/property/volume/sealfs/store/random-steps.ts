import { equal, ok } from "node:assert/strict";
import type { StoredFile } from "../../../../../src/volume/sealfs/stored-file.ts";
import type { FileModel } from "./file-model.ts";

/** Whole numbers from a seed: xorshift32. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = (Math.imul(seed, 2654435761) ^ 0x9e3779b9) >>> 0 || 1;
  }

  /** From 0 up to before `end`. */
  below(end: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    this.#state >>>= 0;
    return this.#state % end;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    const first = this.below(256);
    for (let at = 0; at < length; at += 1) bytes[at] = (first + at * 31 + (at >> 8)) & 255;
    return bytes;
  }
}

/** Where the steps of one run go. */
export interface Reach {
  readonly blockBytes: number;
  /** Most writes begin below this. */
  readonly near: number;
  /** Some begin around a power of two up to this exponent. */
  readonly farExponent: number;
}

/** One random change or look at a file and its model. Commits are left to the caller. */
export function randomStep(dice: Dice, file: StoredFile, model: FileModel, reach: Reach): void {
  const at = place(dice, model, reach);
  const length = 1 + dice.below(dice.below(4) === 0 ? reach.blockBytes * 5 : 300);
  switch (dice.below(10)) {
    case 0: {
      const size = dice.below(3) === 0 ? dice.below(model.size + 1) : at;
      file.truncate(size);
      model.truncate(size);
      break;
    }
    case 1:
      file.punch(at, length);
      model.punch(at, length);
      break;
    case 2: {
      const keepSize = dice.below(2) === 0;
      file.allocate(at, length, keepSize);
      if (!keepSize) model.truncate(Math.max(model.size, at + length));
      break;
    }
    case 3: {
      const into = Buffer.alloc(length, 0xee);
      const got = file.read(at, into);
      ok(into.subarray(0, got).equals(model.read(at, length)), `read of ${length} at ${at}`);
      break;
    }
    case 4: {
      const aligned = Math.floor(at / reach.blockBytes) * reach.blockBytes;
      write(file, model, aligned, dice.bytes(reach.blockBytes * (1 + dice.below(4))));
      break;
    }
    default:
      write(file, model, dice.below(3) === 0 ? model.size : at, dice.bytes(length));
  }
  equal(file.size, model.size);
}

function write(file: StoredFile, model: FileModel, at: number, bytes: Buffer): void {
  const given = Buffer.from(bytes);
  file.write(at, given);
  given.fill(0xdd); // they are the caller's again
  model.write(at, bytes);
}

function place(dice: Dice, model: FileModel, reach: Reach): number {
  if (dice.below(12) === 0) return Math.max(0, 2 ** (12 + dice.below(reach.farExponent - 11)) - dice.below(9000));
  return dice.below(4) === 0 ? Math.max(0, model.size - dice.below(5000)) : dice.below(reach.near);
}
