import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { age } from "../../../src/cli/node/age.ts";

const at = "2026-01-01T00:00:00.000Z";
const after = (seconds: number) => age(at, Date.parse(at) + seconds * 1000);

describe("the age of a report", () => {
  for (const [seconds, text] of [
    [0, "0 s"],
    [0.9, "0 s"],
    [119.9, "119 s"],
    [120, "2 min"],
    [7199, "119 min"],
    [7200, "2 h"],
    [172_799, "47 h"],
    [172_800, "2 days"],
    [100 * 86_400, "100 days"],
  ] as const)
    it(`of ${seconds} seconds is ${text}`, () => assert.equal(after(seconds), text));

  it("that is ahead of this machine's clock is of now", () => assert.equal(after(-60), "0 s"));
});
