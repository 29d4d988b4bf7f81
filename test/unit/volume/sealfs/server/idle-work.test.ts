import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { IdleWork } from "../../../../../src/volume/sealfs/server/idle-work.ts";

describe("work between requests", () => {
  it("that fails is told of, keeps no other from being done, and is not tried again at once", () => {
    const idle = new IdleWork();
    const done: string[] = [];
    idle.add(() => {
      done.push("failing");
      throw new Error("no room");
    });
    idle.add(() => {
      done.push("other");
      return undefined;
    });
    assert.throws(() => idle.run(), /no room/);
    assert.deepEqual(done, ["failing", "other"]);
    const delayMs = idle.run();
    assert.deepEqual(done, ["failing", "other", "other"]);
    assert.ok(delayMs !== undefined && delayMs > 0);
  });
});
