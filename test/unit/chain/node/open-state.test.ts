import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import type { StoreDatabase } from "../../../../src/chain/node/chain-store.ts";
import { openState } from "../../../../src/chain/node/open-state.ts";
import { ChainFolder } from "../build/chain-folder.ts";
import { FakeCounter } from "./fake-counter.ts";
import { memoryDatabase, TestChain } from "./stored-chain.ts";

const { chain } = await TestChain.create();
const stateDigest = Buffer.alloc(32, 9);

/** A node's folder: the permit, the guard, and a store that outlives each start. */
class StateFolder extends ChainFolder {
  readonly permit: string = this.at("conf/first-start");
  readonly guard: string = this.at("data/guard");
  opened = 0;
  #store: StoreDatabase | undefined;

  constructor() {
    super();
    this.write("conf/first-start", "");
    mkdirSync(dirname(this.guard));
  }

  forgetStore(): void {
    this.#store = undefined;
  }

  /** Opens the state, votes on some heights, and closes it. */
  withoutCounter = false;

  async start(counter?: FakeCounter, ...heights: readonly number[]): Promise<void> {
    await using parts = new AsyncDisposableStack();
    const { guard } = await openState(
      {
        chain,
        stateDigest,
        places: { folder: this.path, dataPath: dirname(this.guard) },
        withoutCounter: this.withoutCounter,
        log: { write: () => {} },
        openDatabase: async () => {
          this.opened += 1;
          this.#store ??= await memoryDatabase();
          return { ...bound(this.#store), close: async () => {} };
        },
        ...(counter === undefined ? {} : { counter }),
      },
      parts,
    );
    for (const height of heights) await guard.store({ height, record: Buffer.from("vote") });
  }

  async refuses(error: object, counter?: FakeCounter): Promise<void> {
    const before = existsSync(this.guard) ? readFileSync(this.guard) : undefined;
    const opened = this.opened;
    await assert.rejects(this.start(counter), error);
    assert.equal(this.opened, opened);
    assert.deepEqual(existsSync(this.guard) ? readFileSync(this.guard) : undefined, before);
  }
}

function bound(database: StoreDatabase): Omit<StoreDatabase, "close"> {
  return {
    get: (key) => database.get(key),
    batch: (operations, options) => database.batch(operations, options),
    iterator: (range) => database.iterator(range),
  };
}

describe("the first start of a node", () => {
  it("makes the guard and takes the permit away; later starts need none", async () => {
    using folder = new StateFolder();
    await folder.start();
    assert.deepEqual([existsSync(folder.guard), existsSync(folder.permit)], [true, false]);
    await folder.start(undefined, 1);
    await folder.start();
  });

  it("is not had again: without guard, store and permit the node does not start", async () => {
    using folder = new StateFolder();
    await folder.start(undefined, 1);
    rmSync(folder.guard);
    folder.forgetStore();
    await folder.refuses({ code: "GUARD_MISSING", exitCode: 5, message: /conf\/first-start/ });
  });

  it("is not had beside a store, even with a permit", async () => {
    using folder = new StateFolder();
    await folder.start(undefined, 1);
    rmSync(folder.guard);
    writeFileSync(folder.permit, "");
    await assert.rejects(folder.start(), { code: "GUARD_MISSING" });
    assert.equal(existsSync(folder.guard), false);
  });

  it("is not had where the key manager has a counter, even with a permit", async () => {
    using folder = new StateFolder();
    const counter = new FakeCounter();
    await folder.start(counter, 1, 1, 2);
    rmSync(folder.guard);
    folder.forgetStore();
    writeFileSync(folder.permit, "");
    await folder.refuses({ code: "GUARD_MISSING", exitCode: 5, message: /counter stands at 3/ }, counter);
    assert.ok(existsSync(folder.permit));
  });

  it("is not begun while the key manager does not answer", async () => {
    using folder = new StateFolder();
    const counter = new FakeCounter();
    counter.fates.push("away");
    await folder.refuses({ code: "KEY_MANAGER_UNREACHABLE", exitCode: 4 }, counter);
    assert.ok(existsSync(folder.permit));
    await folder.start(counter, 1);
  });

  it("that ended between guard and permit is finished by the next, and the permit goes", async () => {
    using folder = new StateFolder();
    await folder.start(undefined, 1);
    writeFileSync(folder.permit, "");
    await folder.start();
    assert.equal(existsSync(folder.permit), false);
  });

  it("of a node with a counter does not let it go on without one later, unless told so", async () => {
    using folder = new StateFolder();
    const counter = new FakeCounter();
    await folder.start(counter);
    await folder.refuses({
      code: "GUARD_COUNTER_MISSING",
      exitCode: 5,
      message: /Set guard_counter again, or to none/,
    });
    await folder.start(counter, 1);
    folder.withoutCounter = true;
    await folder.start(undefined, 2);
    folder.withoutCounter = false;
    await folder.refuses({ code: "GUARD_COUNTER_MISSING" });
    await folder.start(counter, 3);
    assert.equal(counter.stands?.value, 3);
  });

  it("leaves a guard whose promises stand beside a store that is new", async () => {
    using folder = new StateFolder();
    const counter = new FakeCounter();
    await folder.start(counter, 1, 2);
    folder.forgetStore();
    await folder.start(counter, 3);
    assert.equal(counter.stands?.value, 3);
  });
});

describe("a node's state that is an older copy", () => {
  it("is refused before its store is opened, guard and store together as they were", async () => {
    using folder = new StateFolder();
    const counter = new FakeCounter();
    await folder.start(counter, 1);
    cpSync(folder.guard, join(folder.path, "older"));
    await folder.start(counter, 2);
    cpSync(join(folder.path, "older"), folder.guard);
    await folder.refuses({ code: "GUARD_ROLLED_BACK", exitCode: 5 }, counter);
  });
});
