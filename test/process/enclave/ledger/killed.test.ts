import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EmbeddedLedger } from "../../../../src/enclave/ledger/embedded/embedded-ledger.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { mspIds, put, TrialFolder, valueAt } from "../../../unit/enclave/ledger/embedded/trial-ledger.ts";

/** Lets a writer say so many values committed, and kills it while it goes on; gives what it said by then. */
async function killedAfter(folder: string, first: number, count: number): Promise<readonly string[]> {
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, "writer.ts"), folder, String(first)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  const said: string[] = [];
  if (child.stdout === null) assert.fail("the writer has no output");
  for await (const line of createInterface(child.stdout)) {
    said.push(line);
    if (said.length === count) child.kill("SIGKILL");
  }
  await ended;
  assert.equal(child.signalCode, "SIGKILL", "the writer ended by itself");
  return said;
}

describe("an embedded ledger whose process is killed while it commits", () => {
  it("has all that it said was committed, at every peer, and goes on", async () => {
    using folder = new TrialFolder();
    await (await folder.create())[Symbol.asyncDispose]();
    const kept: string[] = [];
    const counts = fc.sample(fc.integer({ min: 1, max: 25 }), { seed, numRuns: scaled(60) });
    for (const [round, count] of counts.entries()) {
      kept.push(...(await killedAfter(folder.path, round * 1000, count)));
      await using ledger = await folder.open();
      for (const mspId of mspIds)
        for (const line of kept) {
          const [key = "", value] = line.split("=");
          assert.equal(await valueAt(ledger, mspId, key), value);
        }
      const [height, ...heights] = mspIds.map((mspId) => ledger.peer(mspId).store.height);
      const last = mspIds.map((mspId) =>
        ledger
          .peer(mspId)
          .store.block((height ?? 0n) - 1n)
          ?.toString("hex"),
      );
      assert.deepEqual(heights, [height, height]);
      assert.equal(new Set(last).size, 1);
      await put(ledger, "Org2MSP", `after-${round}`, "1");
    }
  });

  it("lets its folder go, and keeps another process out while it runs", async () => {
    using folder = new TrialFolder();
    await (await folder.create())[Symbol.asyncDispose]();
    const child = spawn(process.execPath, [join(import.meta.dirname, "writer.ts"), folder.path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(child, "close");
    const [said] = await once(child.stdout, "data");
    const [key = "", value] = String(said).split("\n")[0]?.split("=") ?? [];
    await assert.rejects(EmbeddedLedger.open(folder.path), { code: "LEDGER_UNAVAILABLE" });
    child.kill("SIGKILL");
    await ended;
    await using ledger = await folder.open();
    assert.equal(await valueAt(ledger, "Org1MSP", key), value);
  });
});
