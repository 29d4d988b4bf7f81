import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { createSealedFile, openSealedFile } from "../../../../../src/volume/sealfs/store/create-and-open.ts";
import type { FileLayout } from "../../../../../src/volume/sealfs/stored-file.ts";
import { scaled, seed } from "../../../../run-settings.ts";
import { MemoryBackingFile } from "../../../../sealfs/memory-backing.ts";
import { TestKeys } from "../../../../sealfs/test-keys.ts";
import { FileModel } from "./file-model.ts";
import { Dice, type Reach, randomStep } from "./random-steps.ts";

const fileId = Buffer.from("a file's own id!");

for (const integrity of ["blocks", "tree"] as const)
  for (const blockBytes of [4096, 16384, 65536]) {
    const reach = { blockBytes, near: blockBytes * 30, farExponent: 40 };
    test(`a file with ${integrity} of ${blockBytes} bytes is what was written, through commits and openings`, () => {
      for (let run = 0; run < scaled(60); run += 1) play(seed * 1000 + run, { blockBytes, integrity }, reach);
    });
  }

test("a file whose map has many pages is what was written", () => {
  for (let run = 0; run < scaled(20); run += 1)
    play(
      seed * 77 + run,
      { blockBytes: 4096, integrity: "tree" },
      { blockBytes: 4096, near: 2 ** 24, farExponent: 51 },
    );
});

function play(runSeed: number, layout: FileLayout, reach: Reach): void {
  const dice = new Dice(runSeed);
  const keys = new TestKeys();
  const events: string[] = [];
  const report = (_id: Buffer, what: string) => void events.push(what);
  let backing = new MemoryBackingFile();
  let file = createSealedFile(backing, fileId, keys, layout, report);
  const model = new FileModel();
  for (let step = 0; step < 250; step += 1) {
    randomStep(dice, file, model, reach);
    const chance = dice.below(40);
    if (chance < 4) file.commit(chance < 2);
    else if (chance === 4) {
      file.close();
      backing = backing.copy();
      file = openSealedFile(backing, fileId, keys.of, layout, { clean: dice.below(2) === 0, events: report });
      equal(file.size, model.size);
    } else if (chance === 5) model.verify(file);
    else if (chance === 6 && keys.generation < 12) keys.generation += 1;
    else if (chance === 7) file.reseal(reach.blockBytes * 3);
  }
  model.verify(file);
  while (file.reseal(2 ** 20) > 0) model.verify(file);
  deepEqual(new Set(file.bytesByGeneration().keys()), new Set([keys.generation]));
  file.close();
  for (const clean of [true, false]) {
    const again = openSealedFile(backing.copy(), fileId, keys.of, layout, { clean, events: report });
    model.verify(again);
    again.close();
  }
  deepEqual(events, []);
}
