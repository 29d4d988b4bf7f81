import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { createSealedFile, openSealedFile } from "../../../../../src/volume/sealfs/store/create-and-open.ts";
import type { HeadStamp } from "../../../../../src/volume/sealfs/store/head-fate.ts";
import type { FileLayout, StoredFile } from "../../../../../src/volume/sealfs/stored-file.ts";
import { scaled, seed } from "../../../../run-settings.ts";
import { type BackingChange, MemoryBackingFile } from "../../../../sealfs/memory-backing.ts";
import { TestKeys } from "../../../../sealfs/test-keys.ts";
import { FileModel } from "./file-model.ts";
import { Dice, type Reach, randomStep } from "./random-steps.ts";

const fileId = Buffer.from("a file's own id!");
const quiet = () => {};

/** One commit: what it made last, and which changes of the backing file were its own. */
interface Commit {
  readonly state: FileModel;
  readonly begins: number;
  readonly ends: number;
  /** After so many changes a power loss no longer undoes it; undefined when it was not durable. */
  readonly durableAt: number | undefined;
}

interface Session {
  readonly start: Buffer;
  readonly changes: readonly BackingChange[];
  readonly commits: readonly Commit[];
}

for (const integrity of ["blocks", "tree"] as const) {
  const layout: FileLayout = { blockBytes: 4096, integrity };
  test(`a file with ${integrity} that a process left at any moment is what it committed last`, () => {
    for (let run = 0; run < scaled(40); run += 1) {
      const dice = new Dice(seed * 31 + run);
      const session = play(dice, layout, new MemoryBackingFile(), new FileModel(), 60, 1);
      for (let cut = 0; cut <= session.changes.length; cut += 1) {
        const done = session.commits.filter((commit) => commit.ends <= cut).at(-1);
        const begun = session.commits.find((commit) => commit.begins < cut && commit.ends > cut);
        const states = [done?.state ?? new FileModel(), ...(begun === undefined ? [] : [begun.state])];
        recoverTo(MemoryBackingFile.replay(session.changes.slice(0, cut), session.start), layout, states, `cut ${cut}`);
      }
    }
  });

  test(`a file with ${integrity} that lost power at any moment is what it committed durably, or later, and whole`, () => {
    for (let run = 0; run < scaled(60); run += 1) {
      const dice = new Dice(seed * 37 + run);
      let backing = new MemoryBackingFile();
      let model = new FileModel();
      for (let crash = 0; crash < 4; crash += 1) {
        const session = play(dice, layout, backing, model, 30, crash + 1);
        for (let round = 0; round < 60; round += 1) {
          const cut = dice.below(session.changes.length + 1);
          const left = loseSome(dice, session.changes.slice(0, cut));
          const states = durableOrLater(session, model, cut);
          const lost = MemoryBackingFile.replay(left, session.start);
          const content = lost.content();
          const state = recoverTo(lost, layout, states, `run ${run}, crash ${crash}, cut ${cut}, round ${round}`);
          if (round < 59) continue;
          backing = MemoryBackingFile.of(content);
          model = state;
        }
      }
    }
  });
}

const keys = new TestKeys();
const reach: Reach = { blockBytes: 4096, near: 2 ** 17, farExponent: 33 };

/** Changes a file at random, opened as after a crash, and leaves it open. */
function play(
  dice: Dice,
  layout: FileLayout,
  backing: MemoryBackingFile,
  from: FileModel,
  steps: number,
  mount: number,
): Session {
  const start = backing.content();
  const model = from.snapshot();
  const commits: Commit[] = [];
  let file = open(backing, layout, mount, mount % 2 === 0);
  for (let step = 0; step < steps; step += 1) {
    randomStep(dice, file, model, reach);
    const chance = dice.below(8);
    if (chance > 2) continue;
    const begins = backing.changes.length;
    if (chance === 2) file.close();
    else file.commit(chance === 0);
    const ends = backing.changes.length;
    const syncs = backing.changes.slice(begins).map((change, at) => (change.kind === "sync" ? begins + at + 1 : 0));
    commits.push({
      state: model.snapshot(),
      begins,
      ends,
      durableAt: chance === 0 ? Math.max(...syncs, begins) : undefined,
    });
    if (chance !== 2) continue;
    backing.isClosed = false;
    const isKnown = dice.below(2) === 0;
    const clean = ({ session }: HeadStamp) => (isKnown && session === mount ? "current" : "unproven");
    file = openSealedFile(backing, fileId, keys.of, layout, { clean, events: quiet, stamp: stampOf(mount) });
  }
  return { start, changes: [...backing.changes], commits };
}

function durableOrLater(session: Session, from: FileModel, cut: number): readonly FileModel[] {
  const begun = session.commits.filter((commit) => commit.begins < cut || commit.ends <= cut);
  const last = begun.findLastIndex(({ durableAt }) => durableAt !== undefined && durableAt <= cut);
  return last < 0 ? [from, ...begun.map(({ state }) => state)] : begun.slice(last).map(({ state }) => state);
}

/** What of these changes a power loss leaves: all up to the last sync, and of the rest any, one of them torn. */
function loseSome(dice: Dice, changes: readonly BackingChange[]): readonly BackingChange[] {
  const synced = changes.findLastIndex((change) => change.kind === "sync") + 1;
  const chance = 1 + dice.below(4);
  const later = changes.slice(synced).filter(() => dice.below(5) < chance);
  const torn = dice.below(later.length + 1);
  const kept = later.map((change, at): BackingChange => {
    if (at !== torn || change.kind !== "write") return change;
    return { ...change, bytes: change.bytes.subarray(0, tearAt(dice, change)) };
  });
  return [...changes.slice(0, synced), ...kept];
}

/** A medium writes whole sectors of 512 bytes. */
function tearAt(dice: Dice, { at, bytes }: { readonly at: number; readonly bytes: Buffer }): number {
  return Math.max(0, Math.floor((at + dice.below(bytes.length)) / 512) * 512 - at);
}

/** Opens what is left, finds it to be one of these states, and goes on with it. */
function recoverTo(
  backing: MemoryBackingFile,
  layout: FileLayout,
  states: readonly FileModel[],
  where: string,
): FileModel {
  const file = open(backing, layout);
  const found = states.find((state) => state.matches(file));
  ok(found !== undefined, `${where}: the file is none of the ${states.length} states it may be in`);
  deepEqual(file.check(), [], where);
  const model = found.snapshot();
  const bytes = Buffer.from("written after the crash");
  file.write(model.size, bytes);
  model.write(model.size, bytes);
  file.commit(true);
  const again = open(backing.copy(), layout);
  model.verify(again);
  return found;
}

const stampOf = (session: number) => () => ({ session, round: 0, tableSequence: 0 });

function open(backing: MemoryBackingFile, layout: FileLayout, mount = 0, commitsRecovered = false): StoredFile {
  if (backing.size() === 0 && backing.changes.length === 0)
    return createSealedFile(backing, fileId, keys, layout, quiet, { stamp: stampOf(mount) });
  return openSealedFile(backing, fileId, keys.of, layout, {
    clean: false,
    events: quiet,
    keysWhenBlank: keys,
    stamp: stampOf(mount),
    commitsRecovered,
  });
}
