import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ConfirmedGuard } from "../../../../src/chain/node/confirmed-guard.ts";
import { GuardFile } from "../../../../src/chain/node/guard-file.ts";
import type { GuardOutcome } from "../../../../src/chain/node/replica-host.ts";
import { FakeCounter } from "./fake-counter.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-confirmed-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const state = Buffer.alloc(32, 5);
let files = 0;

function newPath(): string {
  files += 1;
  return join(folder, `guard${files}`);
}

/** A running guard, its parts, and what it has logged. */
class Running implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #file: GuardFile;
  readonly guard: ConfirmedGuard;

  private constructor(file: GuardFile, guard: ConfirmedGuard, lines: string[]) {
    this.#file = file;
    this.guard = guard;
    this.lines = lines;
  }

  static async start(path: string, counter?: FakeCounter, withoutCounter = false): Promise<Running> {
    const file = await GuardFile.open(path, state);
    const lines: string[] = [];
    const log = { write: (level: string, line: string) => void lines.push(`${level} ${line}`) };
    const pauses = { next: () => 1, reset: () => {} };
    try {
      const guard = await ConfirmedGuard.open(file, {
        log,
        pauses,
        withoutCounter,
        ...(counter === undefined ? {} : { counter }),
      });
      return new Running(file, guard, lines);
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw error;
    }
  }

  vote(height: number, digest = "a"): Promise<GuardOutcome> {
    return this.guard.store({ height, record: Buffer.from(`vote for ${digest}`) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.guard[Symbol.asyncDispose]();
    await this.#file[Symbol.asyncDispose]();
  }
}

/** A guard with these heights voted on, all confirmed. */
async function voted(counter: FakeCounter, ...heights: readonly number[]): Promise<string> {
  const path = newPath();
  GuardFile.create(path, state);
  await using running = await Running.start(path, counter);
  for (const height of heights) await running.vote(height);
  return path;
}

function standsAt({ stands }: FakeCounter): number | undefined {
  return stands?.value;
}

function copyOf(path: string): string {
  const copy = newPath();
  copyFileSync(path, copy);
  return copy;
}

async function refusedUntouched(path: string, counter: FakeCounter, message: RegExp): Promise<void> {
  const [bytes, stands] = [readFileSync(path), counter.stands];
  await assert.rejects(Running.start(path, counter), { code: "GUARD_ROLLED_BACK", exitCode: 5, message });
  assert.ok(readFileSync(path).equals(bytes));
  assert.equal(counter.stands, stands);
}

describe("a guard whose counter is at the key manager", () => {
  it("takes the counter from nothing to each entry before the entry counts as stored", async () => {
    const counter = new FakeCounter();
    const path = newPath();
    GuardFile.create(path, state);
    await using running = await Running.start(path, counter);
    assert.equal(standsAt(counter), undefined);
    for (const height of [1, 2]) {
      await running.vote(height);
      assert.equal(standsAt(counter), height);
    }
    assert.deepEqual(counter.asked, [
      { from: 0, to: 1 },
      { from: 1, to: 2 },
    ]);
  });

  it("takes entries that come while it waits together, with the next advance", async () => {
    const counter = new FakeCounter();
    await using running = await Running.start(await voted(new FakeCounter()), counter);
    const { promise, resolve } = Promise.withResolvers<void>();
    counter.gate = promise;
    const votes = [running.vote(1)];
    while (counter.asked.length === 0) await turn();
    votes.push(running.vote(1), running.vote(2), running.vote(3));
    while (running.guard.written < 4) await turn();
    resolve();
    await Promise.all(votes);
    assert.deepEqual(counter.asked, [
      { from: 0, to: 1 },
      { from: 1, to: 4 },
    ]);
  });

  it("stores nothing while the key manager is away, says so once, and goes on when it is back", async () => {
    const counter = new FakeCounter();
    await using running = await Running.start(await voted(counter, 1), counter);
    counter.fates.push(...Array.from({ length: 30 }, () => "away" as const));
    let stored = false;
    const vote = running.vote(2).then(() => (stored = true));
    while (counter.fates.length > 1) {
      assert.equal(stored, false);
      await turn();
    }
    await vote;
    assert.equal(standsAt(counter), 2);
    assert.equal(running.lines.filter((line) => line.includes("votes wait")).length, 1);
    assert.equal(running.lines.filter((line) => line.includes("confirms votes again")).length, 1);
  });

  it("writes nothing more while the key manager is away, and what comes meanwhile when it is back", async () => {
    const counter = new FakeCounter();
    await using running = await Running.start(await voted(counter, 1), counter);
    counter.fates.push(...Array.from({ length: 1000 }, () => "away" as const));
    const votes = [running.vote(2)];
    while (counter.fates.length > 990) await turn();
    votes.push(running.vote(2), running.vote(3));
    while (counter.fates.length > 980) await turn();
    assert.equal(running.guard.written, 2);
    counter.fates.length = 0;
    assert.deepEqual(await Promise.all(votes), ["stored", "stored", "stored"]);
    assert.equal(standsAt(counter), 4);
    assert.deepEqual(
      running.guard.entries.map(({ height }) => height),
      [1, 2, 2, 3],
    );
  });

  it("never writes what a block has passed while the key manager was away", async () => {
    const counter = new FakeCounter();
    const path = await voted(counter, 1);
    const length = () => readFileSync(path).length;
    await using running = await Running.start(path, counter);
    counter.fates.push(...Array.from({ length: 100_000 }, () => "away" as const));
    const first = running.vote(2);
    while (counter.fates.length > 99_990) await turn();
    const before = length();
    for (let height = 3; height < 200; height++) {
      const vote = running.vote(height);
      await running.guard.forget(height);
      assert.equal(await vote, "passed");
    }
    const last = running.vote(200);
    assert.equal(length(), before);
    counter.fates.length = 0;
    assert.deepEqual([await first, await last], ["stored", "stored"]);
    assert.equal(standsAt(counter), 3);
  });

  it("ends what is not yet written, too, when it may not go on", async () => {
    const counter = new FakeCounter();
    await using running = await Running.start(await voted(counter, 1), counter);
    counter.fates.push(...Array.from({ length: 20 }, () => "away" as const), "refused");
    const refused = { code: "KEY_MANAGER_REFUSED" };
    const first = assert.rejects(running.vote(2), refused);
    while (counter.fates.length > 15) await turn();
    await Promise.all([first, assert.rejects(running.vote(3), refused)]);
    assert.equal(running.guard.written, 2);
  });

  it("says little of a key manager that answers every other time", async () => {
    const counter = new FakeCounter();
    await using running = await Running.start(await voted(counter, 1), counter);
    for (let height = 2; height < 50; height++) {
      counter.fates.push("away");
      await running.vote(height);
    }
    assert.equal(running.lines.filter((line) => line.includes("votes wait")).length, 1);
    assert.equal(running.lines.filter((line) => line.includes("confirms votes again")).length, 1);
  });

  it("does not go on without its counter, unless told so, and then not unnoticed", async () => {
    const counter = new FakeCounter();
    const path = await voted(counter, 1);
    const bytes = readFileSync(path);
    await assert.rejects(Running.start(path), { code: "GUARD_COUNTER_MISSING", exitCode: 5 });
    assert.ok(readFileSync(path).equals(bytes));
    {
      await using running = await Running.start(path, undefined, true);
      assert.match(running.lines.join("\n"), /^warning \[GUARD\]no strongroom.guard_counter/);
      await running.vote(2);
    }
    await assert.rejects(Running.start(path), { code: "GUARD_COUNTER_MISSING" });
    await using running = await Running.start(path, counter);
    assert.equal(standsAt(counter), 2);
    assert.deepEqual(running.lines, []);
  });

  it("asks for the same step again when an answer is lost, although more has been written", async () => {
    const counter = new FakeCounter();
    await using running = await Running.start(await voted(new FakeCounter()), counter);
    counter.fates.push("lost", "away");
    const { promise, resolve } = Promise.withResolvers<void>();
    counter.gate = promise;
    const votes = [running.vote(1)];
    while (counter.asked.length === 0) await turn();
    votes.push(running.vote(2), running.vote(3));
    while (running.guard.written < 3) await turn();
    resolve();
    await Promise.all(votes);
    assert.deepEqual(
      counter.asked.map(({ from, to }) => `${from}-${to}`),
      ["0-1", "0-1", "0-1", "1-3"],
    );
    assert.equal(standsAt(counter), 3);
  });

  it("of a revoked node stores nothing more, at once and for good", async () => {
    const counter = new FakeCounter();
    await using running = await Running.start(await voted(counter, 1), counter);
    counter.fates.push("away", "refused");
    const refused = { code: "KEY_MANAGER_REFUSED", exitCode: 3 };
    await Promise.all([assert.rejects(running.vote(2), refused), assert.rejects(running.vote(3), refused)]);
    await assert.rejects(running.vote(4), refused);
    assert.equal(standsAt(counter), 1);
  });

  it("does not start without an answer, or with a no", async () => {
    const counter = new FakeCounter();
    const path = await voted(counter, 1);
    counter.fates.push("away");
    await assert.rejects(Running.start(path, counter), { code: "KEY_MANAGER_UNREACHABLE", exitCode: 4 });
    counter.fates.push("refused");
    await assert.rejects(Running.start(path, counter), { code: "KEY_MANAGER_REFUSED", exitCode: 3 });
    await using _ = await Running.start(path, counter);
  });

  it("that was put back to an earlier time does not start", async () => {
    const counter = new FakeCounter();
    const path = await voted(counter, 1, 2);
    const old = copyOf(path);
    {
      await using running = await Running.start(path, counter);
      await running.vote(3);
    }
    await refusedUntouched(old, counter, /stands at 3 and the double-sign guard has 2 entries/);
    await using _ = await Running.start(path, counter);
  });

  it("that was made anew does not start, however many entries it has", async () => {
    const counter = new FakeCounter();
    await voted(counter, 1, 2);
    for (const heights of [[], [1], [1, 2], [1, 2, 3]])
      await refusedUntouched(await voted(new FakeCounter(), ...heights), counter, /counter stands/);
  });

  it("of two copies that run at once one goes on; the other signs nothing and ends", async () => {
    const counter = new FakeCounter();
    const path = await voted(counter, 1);
    const twinPath = copyOf(path);
    await using one = await Running.start(path, counter);
    await using twin = await Running.start(twinPath, counter);
    await one.vote(2, "a");
    await assert.rejects(twin.vote(2, "b"), { code: "GUARD_ROLLED_BACK", message: /another entry: another copy/ });
    await assert.rejects(twin.vote(3, "b"), { code: "GUARD_ROLLED_BACK" });
    await one.vote(3, "a");
    assert.equal(standsAt(counter), 3);
    await refusedUntouched(twinPath, counter, /stands at 3 and the double-sign guard has/);
  });

  it("lets two copies go on as long as they promise the same, and not a step further", async () => {
    const counter = new FakeCounter();
    const path = await voted(counter, 1);
    const twinPath = copyOf(path);
    await using one = await Running.start(path, counter);
    await using twin = await Running.start(twinPath, counter);
    await one.vote(2, "same");
    await twin.vote(2, "same");
    await twin.vote(3, "twin's");
    await assert.rejects(one.vote(3, "one's"), { code: "GUARD_ROLLED_BACK" });
  });

  it("takes the counter to its end first, when it ended before the key manager had answered", async () => {
    const counter = new FakeCounter();
    const path = await voted(counter, 1);
    for (const fate of ["away", "lost"] as const) {
      const before = standsAt(counter) ?? 0;
      {
        await using running = await Running.start(path, counter);
        counter.fates.push(fate);
        const vote = running.vote(before + 1);
        vote.catch(() => {});
        while (running.guard.written === before || counter.fates.length > 0) await turn();
      }
      counter.fates.length = 0;
      await using running = await Running.start(path, counter);
      assert.equal(running.guard.written, before + 1);
      assert.equal(standsAt(counter), before + 1);
    }
  });

  it("goes on from a place of its own history that a late request has taken the counter to", async () => {
    const counter = new FakeCounter();
    const path = await voted(counter, 1);
    await using running = await Running.start(path, counter);
    // The request of an earlier life arrives after this life has read the counter.
    const file = await GuardFile.open(copyOf(path), state);
    await file.append({ height: 2, record: Buffer.from("vote for a") });
    const late = file.end;
    await file[Symbol.asyncDispose]();
    const { promise, resolve } = Promise.withResolvers<void>();
    counter.gate = promise;
    const votes = [running.vote(2), running.vote(3)];
    while (running.guard.written < 3) await turn();
    counter.stands = late;
    resolve();
    await Promise.all(votes);
    assert.equal(standsAt(counter), 3);
  });

  it("takes up a key manager again that was put back to an earlier time, as far as it knows that time", async () => {
    const counter = new FakeCounter();
    const path = await voted(counter, 1);
    const early = counter.stands;
    {
      await using running = await Running.start(path, counter);
      await running.guard.store({ height: 2, record: Buffer.alloc(3 << 20, 2) });
      counter.stands = early;
      await running.guard.store({ height: 3, record: Buffer.alloc(3 << 20, 3) });
      assert.equal(standsAt(counter), 3);
      assert.match(running.lines.join("\n"), /counter was found at 1, not at 2/);
      await running.guard.forget(3);
      counter.stands = early;
      await assert.rejects(running.vote(4), { code: "GUARD_ROLLED_BACK", message: /key manager was put back/ });
    }
    await refusedUntouched(path, counter, /administrator who is sure/);
    counter.stands = undefined;
    await using running = await Running.start(path, counter);
    assert.equal(standsAt(counter), 4);
    await running.vote(5);
  });

  it("begins from its own end where the counter was removed, and says so", async () => {
    const counter = new FakeCounter();
    const path = await voted(counter, 1, 2);
    counter.stands = undefined;
    await using running = await Running.start(path, counter);
    assert.deepEqual(counter.asked.at(-1), { from: 0, to: 2 });
    assert.match(running.lines.join("\n"), /no counter for this guard[\s\S]*an administrator has removed it/);
  });

  it("never forgets what the counter has not passed", async () => {
    const counter = new FakeCounter();
    const path = newPath();
    GuardFile.create(path, state);
    {
      await using running = await Running.start(path, counter);
      for (const height of [1, 2]) await running.guard.store({ height, record: Buffer.alloc(2 << 20, height) });
      counter.fates.push(...Array.from({ length: 1000 }, () => "away" as const));
      running.guard.store({ height: 3, record: Buffer.alloc(2 << 20, 3) }).catch(() => {});
      while (running.guard.written < 3) await turn();
      await running.guard.forget(9);
      assert.deepEqual(
        running.guard.entries.map(({ height }) => height),
        [3],
      );
    }
    counter.fates.length = 0;
    await using running = await Running.start(path, counter);
    assert.equal(standsAt(counter), 3);
    await running.guard.forget(9);
  });

  it("does not know a counter of the time before what it has forgotten", async () => {
    const counter = new FakeCounter();
    const path = await voted(counter, 1);
    {
      await using without = await Running.start(path, undefined, true);
      for (const height of [2, 3, 4]) await without.guard.store({ height, record: Buffer.alloc(2 << 20, height) });
      await without.guard.forget(3);
    }
    await refusedUntouched(path, counter, /ran without guard_counter/);
  });

  it("ends what waits when it is closed", async () => {
    const counter = new FakeCounter();
    const running = await Running.start(await voted(counter, 1), counter);
    counter.fates.push(...Array.from({ length: 1000 }, () => "away" as const));
    const vote = running.vote(2);
    const ended = assert.rejects(vote, { code: "GUARD_UNWRITABLE" });
    while (running.guard.written < 2) await turn();
    await running[Symbol.asyncDispose]();
    await ended;
    await assert.rejects(running.vote(3), { code: "GUARD_UNWRITABLE" });
  });
});

describe("a guard without a counter", () => {
  it("says at each start what is not noticed", async () => {
    const path = newPath();
    GuardFile.create(path, state);
    await using running = await Running.start(path);
    await running.vote(1);
    assert.match(running.lines.join("\n"), /^warning \[GUARD\]no strongroom.guard_counter/);
  });
});
