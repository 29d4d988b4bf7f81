import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { decodeGuardRecord } from "../../../../src/chain/consensus/guard-record.ts";
import { ChainStore } from "../../../../src/chain/node/chain-store.ts";
import { ChainNodeError } from "../../../../src/chain/node/errors.ts";
import type { GuardEntry } from "../../../../src/chain/node/guard-format.ts";
import { type GuardOutcome, ReplicaHost, type VoteGuard } from "../../../../src/chain/node/replica-host.ts";
import { AwsKmsError } from "../../../../src/devices/aws-kms/errors.ts";
import { DeviceError } from "../../../../src/devices/errors.ts";
import { memoryDatabase, TestChain } from "./stored-chain.ts";

const made = await TestChain.create();
const { chain } = made;
const patienceMs = 20_000;

/** A guard whose entries count as stored when, and if, the test says so. */
class HeldGuard implements VoteGuard {
  readonly entries: GuardEntry[] = [];
  readonly closedHeight = 0;
  readonly held: { resolve(outcome: GuardOutcome): void; reject(error: Error): void }[] = [];
  readonly phases: string[] = [];

  get written(): number {
    return this.entries.length;
  }

  store(entry: GuardEntry): Promise<GuardOutcome> {
    this.phases.push(decodeGuardRecord(entry.record).phase);
    const { promise, resolve, reject } = Promise.withResolvers<GuardOutcome>();
    this.held.push({ resolve, reject });
    return promise;
  }

  async forget(): Promise<void> {}
}

/** The host of the sealer that proposes block 1, with work to do, and what it does. */
class Hosted implements AsyncDisposable {
  readonly guard = new HeldGuard();
  readonly lines: string[] = [];
  readonly fatal: Error[] = [];
  signed = 0;
  /** Of the device, in place of a signature. */
  failure: Error | undefined;
  #host: ReplicaHost | undefined;

  static async start(): Promise<Hosted> {
    const hosted = new Hosted();
    const database = await memoryDatabase();
    const id = Buffer.alloc(16);
    const digest = Buffer.alloc(32, 1);
    await ChainStore.create(chain, database, digest, id);
    const self = chain.proposerOf(1, 0);
    const host = await ReplicaHost.restore({
      chain,
      self,
      store: await ChainStore.open(chain, database, digest, { id, written: 0 }),
      guard: hosted.guard,
      signer: {
        algorithm: "sm2",
        publicKey: chain.publicKeyOf(self) ?? Buffer.alloc(0),
        sign: async () => {
          hosted.signed += 1;
          if (hosted.failure !== undefined) throw hosted.failure;
          return Buffer.alloc(64, 1);
        },
      },
      outward: { send: () => {}, sendToAll: () => {}, disconnect: () => {} },
      log: { write: (level, line) => void hosted.lines.push(`${level} ${line}`) },
      settings: { blockTimeMs: 1, viewTimeoutMs: 3_600_000 },
      fatal: (error) => void hosted.fatal.push(error),
    });
    hosted.#host = host;
    host.start();
    const transaction = await made.transaction({ kind: "set", key: Buffer.from("k"), value: Buffer.from("v") }, 1);
    await host.submit(transaction.encoded);
    await hosted.until(() => hosted.guard.held.length > 0);
    return hosted;
  }

  get halted(): string | undefined {
    return this.#host?.halted;
  }

  async until(met: () => boolean): Promise<void> {
    for (const latest = performance.now() + patienceMs; !met(); await pause(2))
      if (performance.now() > latest) throw new Error("it did not come true");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#host?.stop();
  }
}

describe("a node's replica", () => {
  it("asks the device for a vote's signature once the guard has it, not before", async () => {
    await using hosted = await Hosted.start();
    await pause(20);
    assert.deepEqual([hosted.guard.phases, hosted.signed], [["pre-prepare"], 0]);
    hosted.guard.held[0]?.resolve("stored");
    await hosted.until(() => hosted.signed === 1);
    assert.equal(hosted.fatal.length, 0);
  });

  it("signs nothing that the guard has not written because its height was passed", async () => {
    await using hosted = await Hosted.start();
    hosted.guard.held[0]?.resolve("passed");
    await pause(20);
    assert.deepEqual([hosted.signed, hosted.fatal.length, hosted.halted], [0, 0, undefined]);
  });

  it("of a node that may not vote any more, or is an older copy, ends and signs nothing", async () => {
    for (const code of ["KEY_MANAGER_REFUSED", "GUARD_ROLLED_BACK"] as const) {
      await using hosted = await Hosted.start();
      hosted.guard.held[0]?.reject(new ChainNodeError(code));
      await hosted.until(() => hosted.fatal.length > 0);
      assert.deepEqual(
        hosted.fatal.map((error) => (error as ChainNodeError).code),
        [code],
      );
      assert.equal(hosted.signed, 0);
    }
  });

  it("whose guard can't be written signs nothing more, and the node stays", async () => {
    await using hosted = await Hosted.start();
    hosted.guard.held[0]?.reject(new ChainNodeError("GUARD_UNWRITABLE", "the disk is full"));
    await hosted.until(() => hosted.halted !== undefined);
    assert.deepEqual([hosted.signed, hosted.fatal.length], [0, 0]);
    assert.match(hosted.lines.join("\n"), /error \[GUARD\]the disk is full/);
  });

  it("halts when its device or KMS shows another key, and not when it is only away", async () => {
    for (const [failure, halts] of [
      [new DeviceError("DEVICE_KEY_CHANGED"), true],
      [new DeviceError("DEVICE_UNREACHABLE"), false],
      [new DeviceError("DEVICE_BUSY"), false],
      [new AwsKmsError("KMS_KEY_CHANGED"), true],
      [new AwsKmsError("KMS_ANSWER_INVALID"), false],
      [new AwsKmsError("KMS_TIMEOUT"), false],
      [new AwsKmsError("KMS_THROTTLED", undefined, undefined, "none"), false],
    ] as const) {
      await using hosted = await Hosted.start();
      hosted.failure = failure;
      hosted.guard.held[0]?.resolve("stored");
      await hosted.until(() => hosted.lines.some((line) => line.includes("[SIGN]")));
      await hosted.until(() => !halts || hosted.halted !== undefined);
      assert.equal(hosted.halted !== undefined, halts, failure.code);
      assert.equal(hosted.fatal.length, 0);
    }
  });

  it("that is stopped while the guard waits neither signs nor ends its node anew", async () => {
    const hosted = await Hosted.start();
    await hosted[Symbol.asyncDispose]();
    hosted.guard.held[0]?.reject(new ChainNodeError("GUARD_UNWRITABLE", "closed"));
    await pause(20);
    assert.deepEqual([hosted.signed, hosted.fatal.length, hosted.lines], [0, 0, []]);
  });
});
