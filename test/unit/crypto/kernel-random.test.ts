import assert from "node:assert/strict";
import { test } from "node:test";
import { drawTogether, fillFromKernel, kernelRandomBytes } from "../../../src/crypto/kernel-random.ts";

/** So many draws of 12 bytes, as hexadecimal. */
function draws(count: number): string[] {
  return Array.from({ length: count }, () => kernelRandomBytes(12).toString("hex"));
}

test("draws never repeat, whether they share their reads or not", () => {
  const all = [...draws(300), ...drawTogether(() => draws(1000)), ...draws(10), ...drawTogether(() => draws(3))];
  assert.equal(new Set(all).size, all.length);
});

test("draws that share a read have no byte in common with each other's places: no nonce overlaps the next", () => {
  const bytes = drawTogether(() => Buffer.concat(Array.from({ length: 200 }, () => kernelRandomBytes(12))));
  const windows = new Set<string>();
  for (let at = 0; at + 8 <= bytes.length; at += 1) windows.add(bytes.toString("hex", at, at + 8));
  assert.equal(windows.size, bytes.length - 7);
});

test("large and small draws are filled to their last byte within one stretch", () => {
  drawTogether(() => {
    for (const length of [0, 1, 12, 63, 64, 65, 127, 128, 1024, 5000]) {
      const counts = new Array<number>(length).fill(0);
      for (let time = 0; time < 12; time += 1)
        kernelRandomBytes(length).forEach((byte, at) => {
          if (byte !== 0) counts[at] = (counts[at] ?? 0) + 1;
        });
      assert.ok(
        counts.every((count) => count > 0),
        `a draw of ${length} bytes`,
      );
    }
  });
});

test("a stretch that fails leaves nothing for the next, nor does one within another", () => {
  const seen: string[] = [];
  assert.throws(() =>
    drawTogether(() => {
      seen.push(...draws(2));
      throw new Error("a request that failed");
    }),
  );
  seen.push(...drawTogether(() => [...draws(2), ...drawTogether(() => draws(2)), ...draws(2)]));
  seen.push(...draws(2));
  assert.equal(new Set(seen).size, 10);
});

test("a draw goes into the room it was given, and no further", () => {
  const room = new Uint8Array(40);
  drawTogether(() => fillFromKernel(room.subarray(10, 22)));
  assert.ok(room.subarray(0, 10).every((byte) => byte === 0));
  assert.ok(room.subarray(22).every((byte) => byte === 0));
  assert.ok(room.subarray(10, 22).some((byte) => byte !== 0));
});
