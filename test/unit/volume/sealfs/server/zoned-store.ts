import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { OpenedVolume } from "../../../../../src/volume/sealfs/server/opened-volume.ts";
import { ResealingJob } from "../../../../../src/volume/sealfs/server/resealing-job.ts";
import { SlicedTasks } from "../../../../../src/volume/sealfs/server/sliced-tasks.ts";
import { countZone, noFindings } from "../../../../../src/volume/sealfs/server/zone-check.ts";
import { StoreInTest } from "./store-in-test.ts";

const root = 1;
const readWrite = 2;
const caller = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: 1 };

/** A store in which each folder of the root has keys of its own. */
export function zonedStore(t: TestContext): Promise<StoreInTest> {
  return StoreInTest.make(t, [{ pattern: "*", becomes: "table-sealed" }]);
}

/** Makes a folder of the root, which by the rules becomes a zone. */
export function makeZone({ tree, keys }: OpenedVolume, name: string): Buffer {
  const { node } = tree.makeDirectory(root, name, 0o755, caller);
  tree.forget(node, 1);
  return (keys.table.zoneMadeFor([name]) ?? assert.fail("it is no zone")).zoneId;
}

/** Makes or overwrites a file of a folder of the root. @returns Its handle, to be released. */
export function begin({ tree }: OpenedVolume, folder: string, name: string, content: Buffer): number {
  const { node } = tree.lookup(root, folder);
  const { handle } = tree.create(node, name, 0o644, readWrite, caller);
  tree.write(handle, 0, content);
  return handle;
}

export function write(volume: OpenedVolume, folder: string, name: string, content: Buffer): void {
  volume.tree.release(begin(volume, folder, name, content));
}

export function read({ tree }: OpenedVolume, folder: string, name: string): Buffer {
  const { node } = tree.lookup(root, folder);
  const { node: file, attributes } = tree.lookup(node, name);
  const handle = tree.open(file, 0);
  try {
    const content = Buffer.alloc(attributes.size + 1);
    return content.subarray(0, tree.read(handle, 0, content));
  } finally {
    tree.release(handle);
  }
}

/** Bytes under each generation of a zone, as the files' heads say. */
export function bytesUnder({ tree, keys }: OpenedVolume, zoneId: Buffer): ReadonlyMap<number, number> {
  const zone = keys.table.zone(zoneId) ?? assert.fail("the zone is gone");
  const found = noFindings();
  const steps = countZone({ tree, keys, zone }, found);
  while (steps.next().done !== true);
  assert.deepEqual(found.damaged, []);
  return found.bytes;
}

/** The sealing anew of a volume by a clock that a test moves. */
export class ClockedJob {
  readonly job: ResealingJob;
  readonly told: string[] = [];
  readonly #tasks: SlicedTasks;
  nowMs = 0;

  constructor({ tree, keys }: OpenedVolume) {
    this.#tasks = new SlicedTasks(
      () => false,
      () => this.nowMs,
    );
    this.job = new ResealingJob({ tree, keys, tasks: this.#tasks, report: (what) => void this.told.push(what) });
  }

  /** Does what is due, and lets the time pass until more is. @returns False when nothing is left to do. */
  step(): boolean {
    const delayMs = this.#tasks.run();
    if (delayMs === undefined) return false;
    this.nowMs += delayMs;
    return true;
  }

  /** Does what is due at this very moment. */
  run(): void {
    this.#tasks.run();
  }

  finish(): void {
    while (this.step());
  }
}
