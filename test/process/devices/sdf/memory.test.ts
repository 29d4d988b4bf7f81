import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { openSdfSigner } from "../../../../src/devices/sdf/signer.ts";
import { scaled } from "../../../run-settings.ts";
import { makeTestCard, sdfCardMissing } from "../../../sdf-card/build.ts";

const skip = sdfCardMissing();

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** What this process holds on to, in and outside of its heap. */
function heldMiB(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

describe("memory that a card's library uses", { skip }, () => {
  it("is held until the call is back, though nothing else refers to it", () => {
    using card = makeTestCard("12345678");
    card.setFaults("on=SDF_HashUpdate", "latency-ms=40");
    const program = join(import.meta.dirname, "collected-buffers.ts");
    const run = spawnSync(process.execPath, ["--expose-gc", program, card.library], { encoding: "utf8" });
    assert.deepEqual([run.status, run.signal], [0, null], run.stderr);
  });

  it("does not grow with the number of signatures on either side, nor do open files, and a PIN is nowhere to be read", async () => {
    const canary = "pin-canary-52b1";
    using card = makeTestCard(canary);
    card.admin("generate", "1");
    using secret = SecretBuffer.take(Buffer.from(canary));
    let pid = 0;
    await using by = await openSdfSigner({
      library: card.library,
      keyIndex: 1,
      pin: { secret },
      pool: { minSessions: 2, maxSessions: 2 },
      tell: (event) => {
        assert.ok(!JSON.stringify(event).includes(canary));
        if (event.event === "process-started") pid = event.pid;
      },
    });
    for (const file of ["cmdline", "environ"])
      assert.ok(!readFileSync(`/proc/${pid}/${file}`, "latin1").includes(canary));
    assert.ok(!JSON.stringify(by.health()).includes(canary));

    const residentMiB = (of: number) =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${of}/status`, "utf8"))?.[1]) / 1024;
    const descriptors = (of: number) => readdirSync(`/proc/${of}/fd`).length;
    const both = [pid, process.pid];
    const sign = async (count: number) => {
      let left = count;
      const signing = async (): Promise<void> => {
        while (left-- > 0) await by.sign(Buffer.alloc(32, left));
      };
      await Promise.all(Array.from({ length: 8 }, signing));
    };
    await sign(2_000);
    const [descriptorsBefore, residentBefore, heldBefore] = [both.map(descriptors), both.map(residentMiB), heldMiB()];
    await sign(scaled(100_000));
    assert.deepEqual(both.map(descriptors), descriptorsBefore);
    const heldAfter = heldMiB();
    assert.ok(heldAfter - heldBefore < 5, `${heldBefore} MiB held by this process became ${heldAfter} MiB`);
    // Garbage that is not collected yet is part of it: a heap finds its size within the first 100,000 calls.
    for (const [at, limitMiB] of [60, 120].entries()) {
      const [beforeMiB, afterMiB] = [residentBefore[at] ?? 0, residentMiB(both[at] ?? 0)];
      assert.ok(afterMiB - beforeMiB < limitMiB, `process ${at}: ${beforeMiB} MiB became ${afterMiB} MiB`);
    }
  });
});
