import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import fc from "fast-check";
import { ConfirmedGuard } from "../../../src/chain/node/confirmed-guard.ts";
import { ChainNodeError } from "../../../src/chain/node/errors.ts";
import { GuardFile } from "../../../src/chain/node/guard-file.ts";
import { scaled, seed } from "../../run-settings.ts";
import { FakeCounter, type Fate } from "../../unit/chain/node/fake-counter.ts";

const state = Buffer.alloc(32, 5);
const hosts = 2;
const slots = 12;

type Step =
  | { readonly kind: "start" | "end" | "delete"; readonly host: number }
  | { readonly kind: "forget"; readonly host: number; readonly height: number }
  | { readonly kind: "vote"; readonly host: number; readonly slot: number; readonly digest: string }
  | { readonly kind: "keep"; readonly host: number }
  | { readonly kind: "put-back"; readonly host: number; readonly copy: number }
  | { readonly kind: "network"; readonly fates: readonly Fate[] }
  | { readonly kind: "wait"; readonly forMs: number };

const host = fc.nat(hosts - 1);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("start" as const), host }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("end" as const), host }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("delete" as const), host }) },
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant("vote" as const),
        host,
        slot: fc.nat(slots - 1),
        digest: fc.constantFrom("a", "b"),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("forget" as const), host, height: fc.nat(slots - 1) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("keep" as const), host }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("put-back" as const), host, copy: fc.nat(20) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("network" as const),
        fates: fc.array(fc.constantFrom<Fate>("answered", "away", "late", "lost"), { maxLength: 4 }),
      }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("wait" as const), forMs: fc.nat(8) }) },
  ),
  { minLength: 10, maxLength: 80, size: "max" },
);

interface Running {
  readonly file: GuardFile;
  readonly guard: ConfirmedGuard;
  /** Slots that this process may not vote in again. */
  readonly used: Set<number>;
}

/** Hosts on which one node's guard runs, is copied to and put back, as no operator should; one counter, one device. */
class World implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "strongroom-guard-world-"));
  readonly #counter = new FakeCounter();
  readonly #running: (Running | undefined)[] = [];
  readonly #signed = new Map<number, string>();
  #copies = 0;
  /** Of a slot with two digests; undefined as it must be. */
  broken: string | undefined;
  refusals = 0;
  /** How often a start was refused as that of an older copy. */
  rolledBack = 0;

  get signatures(): number {
    return this.#signed.size;
  }

  /** From now on every request is answered. */
  answerAll(): void {
    this.#counter.fates.length = 0;
  }

  runs(index: number): boolean {
    return this.#running[index] !== undefined;
  }

  async do(step: Step): Promise<void> {
    switch (step.kind) {
      case "start":
        return this.#start(step.host);
      case "end":
        return this.#end(step.host);
      case "vote":
        this.#vote(step.host, step.slot, step.digest);
        return;
      case "forget":
        // As if there were blocks up to that height, in a store that every later start has lost.
        this.#running[step.host]?.guard.forget(step.height).catch(() => {});
        return;
      case "keep":
        // Of a running node too: a snapshot of a virtual machine does not ask.
        if (!existsSync(this.#pathOf(step.host))) return;
        copyFileSync(this.#pathOf(step.host), this.#copyPath(this.#copies));
        this.#copies += 1;
        return;
      case "put-back":
        if (this.#copies === 0) return;
        await this.#end(step.host);
        copyFileSync(this.#copyPath(step.copy % this.#copies), this.#pathOf(step.host));
        return;
      case "delete":
        await this.#end(step.host);
        rmSync(this.#pathOf(step.host), { force: true });
        return;
      case "network":
        this.#counter.fates.push(...step.fates);
        return;
      case "wait":
        // The disk takes its time: a turn of the loop is not enough.
        await pause(step.forMs);
    }
  }

  async #start(index: number): Promise<void> {
    if (this.#running[index] !== undefined) return;
    const path = this.#pathOf(index);
    if (!existsSync(path)) {
      const stands = await this.#counter.read().catch(() => "unknown");
      if (stands !== undefined) return;
      GuardFile.create(path, state);
    }
    const file = await GuardFile.open(path, state, { compactAboveBytes: 0 });
    try {
      const guard = await ConfirmedGuard.open(file, {
        counter: this.#counter,
        log: { write: () => {} },
        pauses: { next: () => 0, reset: () => {} },
      });
      const used = new Set(guard.entries.map(({ height }) => height));
      for (let slot = 0; slot <= guard.closedHeight; slot++) used.add(slot);
      this.#running[index] = { file, guard, used };
    } catch (error) {
      assert.ok(error instanceof ChainNodeError, String(error));
      this.refusals += 1;
      if (error.code === "GUARD_ROLLED_BACK") this.rolledBack += 1;
      await file[Symbol.asyncDispose]();
    }
  }

  /** As abruptly as can be within a process: whatever waits is never signed. */
  async #end(index: number): Promise<void> {
    const running = this.#running[index];
    this.#running[index] = undefined;
    await running?.guard[Symbol.asyncDispose]();
    await running?.file[Symbol.asyncDispose]();
  }

  #vote(index: number, slot: number, digest: string): void {
    const running = this.#running[index];
    if (running === undefined || running.used.has(slot)) return;
    running.used.add(slot);
    running.guard.store({ height: slot, record: Buffer.from(digest) }).then(
      (outcome) => {
        if (outcome === "stored") this.#sign(slot, digest);
      },
      (error: unknown) => {
        assert.ok(error instanceof ChainNodeError);
        this.refusals += 1;
        if (error.code === "GUARD_ROLLED_BACK") this.rolledBack += 1;
      },
    );
  }

  #sign(slot: number, digest: string): void {
    const before = this.#signed.get(slot) ?? digest;
    if (before !== digest) this.broken = `slot ${slot} was signed with ${before} and with ${digest}`;
    this.#signed.set(slot, digest);
  }

  #pathOf(index: number): string {
    return join(this.#folder, `guard${index}`);
  }

  #copyPath(copy: number): string {
    return join(this.#folder, `copy${copy}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let index = 0; index < hosts; index++) await this.#end(index);
    rmSync(this.#folder, { recursive: true });
  }
}

describe("a guard with a counter, whatever is done to its file", () => {
  it("never lets one slot be signed with two digests", async () => {
    let [signatures, refusals] = [0, 0];
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        await using world = new World();
        for (const step of all) {
          await world.do(step);
          assert.equal(world.broken, undefined);
        }
        await pause(10);
        assert.equal(world.broken, undefined);
        signatures += world.signatures;
        refusals += world.refusals;
      }),
      { seed, numRuns: scaled(3000) },
    );
    // It did not hold because nothing happened.
    assert.ok(signatures > 50 && refusals > 50, `${signatures} signatures, ${refusals} refusals`);
  });

  it("never takes a node for an older copy that only ends, starts, and loses answers", async () => {
    const honest: fc.Arbitrary<Step[]> = steps.map((all) =>
      all
        .filter(({ kind }) => kind !== "put-back" && kind !== "delete")
        .map((step) => ("host" in step ? { ...step, host: 0 } : step)),
    );
    let signatures = 0;
    await fc.assert(
      fc.asyncProperty(honest, async (all) => {
        await using world = new World();
        await world.do({ kind: "start", host: 0 });
        for (const step of all) await world.do(step);
        await world.do({ kind: "end", host: 0 });
        world.answerAll();
        await world.do({ kind: "start", host: 0 });
        assert.deepEqual([world.rolledBack, world.runs(0), world.broken], [0, true, undefined]);
        signatures += world.signatures;
      }),
      { seed, numRuns: scaled(1500) },
    );
    assert.ok(signatures > 50, `${signatures} signatures`);
  });
});
