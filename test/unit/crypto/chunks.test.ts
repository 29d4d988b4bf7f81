import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { joinAndWipe, wipeAll } from "../../../src/crypto/chunks.ts";

describe("chunks of what may be a secret", () => {
  const chunks = () => ["a ", "", "secret"].map((text) => Buffer.from(text));

  it("are joined in memory of their own, and wiped where they were", () => {
    const parts = chunks();
    const joined = joinAndWipe(parts, 8);
    assert.equal(joined.toString(), "a secret");
    assert.equal(joined.buffer.byteLength, 8, "no part of Node's pool");
    assert.ok(parts.every((part) => part.every((byte) => byte === 0)));
    assert.equal(joinAndWipe([], 0).length, 0);
  });

  it("are wiped where nobody joins them", () => {
    const parts = chunks();
    wipeAll(parts);
    assert.ok(parts.every((part) => part.every((byte) => byte === 0)));
  });

  it("are not joined to a length that they exceed", () => {
    assert.throws(() => joinAndWipe(chunks(), 7), RangeError);
  });
});
