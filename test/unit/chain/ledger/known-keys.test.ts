import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KnownKeys } from "../../../../src/chain/ledger/known-keys.ts";

const key = (number: number): Buffer => Buffer.alloc(65, number);

describe("what is known of public keys", () => {
  it("is found again, and nothing is of another key", () => {
    const known = new KnownKeys<string>(4);
    known.keep(key(1), "one");
    assert.equal(known.get(key(1)), "one");
    assert.equal(known.get(key(2)), undefined);
    assert.equal(known.get(key(1).subarray(1)), undefined);
  });

  it("stays for the last keys, and never grows beyond two halves", () => {
    const known = new KnownKeys<number>(4);
    for (let number = 0; number < 100; number++) {
      known.keep(key(number), number);
      assert.ok(known.size <= 8);
      for (let back = 0; back < Math.min(4, number); back++) assert.equal(known.get(key(number - back)), number - back);
    }
    assert.equal(known.get(key(50)), undefined);
  });

  it("stays of a key that is asked for, whatever else comes", () => {
    const known = new KnownKeys<number>(4);
    known.keep(key(200), 200);
    for (let number = 0; number < 100; number++) {
      known.keep(key(number), number);
      assert.equal(known.get(key(200)), 200);
    }
  });
});
