import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, describe, it } from "node:test";
import { EncryptedLevel, SecretBuffer } from "../../../src/level/index.ts";
import { scaled, seed } from "../../run-settings.ts";

const folder = mkdtempSync(join(tmpdir(), "level-kill-"));
after(() => rmSync(folder, { recursive: true }));
const program = join(import.meta.dirname, "writer-program.ts");
const keyOf = (fill: number) => SecretBuffer.copyOf(Buffer.alloc(32, fill));
const rows = 400;

/** A small deterministic source of pauses, from the run's seed. */
function* pausesMs(): Generator<number, never> {
  let state = seed >>> 0;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield 5 + ((state >>> 8) % 250);
  }
}

/** Runs the writer, kills it with SIGKILL some time after it has opened the store, and tells the last answered write. */
async function writeUntilKilled(
  location: string,
  names: string,
  fills: [number, number],
  first: number,
  pauseMs: number,
) {
  const writer = spawn(process.execPath, [program, location, names, ...fills.map(String)], {
    env: { ...process.env, FIRST_NUMBER: String(first) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let last = first - 1;
  let rotated = false;
  for await (const line of createInterface({ input: writer.stdout })) {
    if (line === "open") setTimeout(() => writer.kill("SIGKILL"), pauseMs);
    else if (line.startsWith("put ")) last = Number(line.slice(4));
    else if (line === "rotated") rotated = true;
    else assert.fail(line);
  }
  if (writer.exitCode === null && writer.signalCode === null) await once(writer, "exit");
  assert.equal(writer.signalCode, "SIGKILL");
  return { last, rotated };
}

async function assertWhole(level: EncryptedLevel, last: number): Promise<void> {
  const seen = new Map<string, number>();
  for await (const [key, value] of level.iterator()) {
    const [, number, name] = /^value (\d+) of (key \d+)$/.exec(value) ?? [];
    assert.equal(name, key);
    seen.set(key, Number(number));
  }
  for (let pair = 0; pair < rows / 2; pair++) {
    const number = seen.get(`key ${pair}`);
    assert.equal(number, seen.get(`key ${pair + rows / 2}`), "a batch is there whole or not at all");
    // The last answered write of this pair, or one that was still on its way.
    const answered = last - ((((last - pair) % 200) + 200) % 200);
    if (answered >= 0)
      assert.ok(number !== undefined && number >= answered, `pair ${pair}: ${number}, answered ${answered}`);
    if (number !== undefined) assert.equal(await level.get(`key ${pair}`), `value ${number} of key ${pair}`);
  }
}

describe("an encrypted level killed while it writes and rotates", () => {
  for (const names of ["plain", "encrypted"])
    it(`opens again with every answered write, and the rotation ends, ${names} names`, async (context) => {
      let unfinished = 0;
      const location = join(folder, names);
      const pauses = pausesMs();
      let fills: [number, number] = [1, 2];
      const first = new EncryptedLevel(location, { dataKey: keyOf(1), encryptKeyNames: names === "encrypted" });
      await first.open();
      await first.close();
      let last = -1;
      for (let round = 0; round < scaled(100); round++) {
        const killed = await writeUntilKilled(location, names, fills, last + 1, pauses.next().value);
        last = killed.last;
        const keys = { dataKey: keyOf(fills[1]), previousDataKey: keyOf(fills[0]) };
        const level = new EncryptedLevel(location, { ...keys, resumeRotation: false });
        await level.open();
        await assertWhole(level, last);
        if (level.generation === fills[1] && !killed.rotated) unfinished += 1;
        // Every second round goes on with the same rotation; the others end it and begin the next one.
        if (round % 2 === 1 || killed.rotated) {
          if (level.generation === 1 + (fills[1] - 2)) await level.rotateDataKey(keyOf(fills[1]));
          else await level.resumeRotation({ maxEntriesPerSecond: 1e6 }).catch(() => {});
          await level.rotation?.finished;
          await assertWhole(level, last);
          await level.close();
          const alone = new EncryptedLevel(location, { dataKey: keyOf(fills[1]) });
          await alone.open();
          assert.equal(alone.generation, fills[1]);
          await assertWhole(alone, last);
          await alone.close();
          fills = [fills[1], fills[1] + 1];
        } else await level.close();
      }
      context.diagnostic(`${unfinished} kills met an unfinished rotation`);
    });
});
