import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { suite, test } from "node:test";
import fc from "fast-check";
import { compareKeys, type StateChange } from "../../../../src/enclave/ledger/committed-state.ts";
import { SortedState } from "../../../../src/enclave/ledger-enclave/sorted-state.ts";
import { scaled, seed } from "../../../run-settings.ts";

const version = { blockNumber: 1n, position: 0n };

suite("the state of a follower", () => {
  test("is what a plain table in order would be, whatever is written, deleted and asked for", () => {
    // Few keys, so that the same ones come again; some sort otherwise by UTF-8 than by UTF-16.
    const key = fc.constantFrom("a", "ab", "b", "\u0000a\u0000", "\uFF5E", "\u{1F600}", "z");
    const change = fc.record({ key, value: fc.option(fc.uint8Array({ maxLength: 4 }), { nil: undefined }) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), fc.option(key, { nil: "" }), key, (changes, end, start) => {
        const state = new SortedState("ercc");
        const table = new Map<string, Uint8Array>();
        for (const { key: name, value } of changes) {
          const one: StateChange = { namespace: "ercc", key: name, value, version };
          state.commit([one], []);
          if (value === undefined) table.delete(name);
          else table.set(name, value);
        }
        const expected = [...table]
          .filter(([name]) => compareKeys(name, start) >= 0 && (end === "" || compareKeys(name, end) < 0))
          .sort(([one], [other]) => compareKeys(one, other));
        assert.deepEqual(
          [...state.range("ercc", start, end)].map(({ key: name, value }) => [name, value]),
          expected,
        );
        for (const [name, value] of table) assert.deepEqual(state.get("ercc", name)?.value, value);
      }),
      { seed, numRuns: scaled(2000) },
    );
  });

  test("keeps values of the registry and of definitions alone, and versions of all", () => {
    const state = new SortedState("ercc");
    const value = Buffer.from("value");
    for (const namespace of ["ercc", "_lifecycle", "auction"])
      state.commit([{ namespace, key: "key", value, version: { blockNumber: 7n, position: 2n } }], ["tx"]);
    assert.equal(state.get("ercc", "key")?.value.length, 5);
    assert.equal(state.get("_lifecycle", "key")?.value.length, 5);
    assert.equal(state.get("auction", "key")?.value.length, 0);
    assert.deepEqual(state.get("auction", "key")?.version, { blockNumber: 7n, position: 2n });
    assert.deepEqual([state.hasTransaction("tx"), state.hasTransaction("other")], [true, false]);
    assert.deepEqual([...state.range("nobody", "", "")], []);
  });

  test("keeps the hash of every value, until it is written anew or deleted", () => {
    const state = new SortedState("ercc");
    const sha256 = (text: string) => createHash("sha256").update(text).digest();
    const write = (namespace: string, value: string | undefined) =>
      state.commit([{ namespace, key: "key", value: value === undefined ? value : Buffer.from(value), version }], []);
    for (const namespace of ["ercc", "_lifecycle", "auction"]) {
      assert.equal(state.hash(namespace, "key"), undefined);
      for (const value of ["one", "two", "\u00ff\u0000"]) {
        write(namespace, value);
        assert.deepEqual(state.hash(namespace, "key"), sha256(value));
      }
      write(namespace, undefined);
      assert.equal(state.hash(namespace, "key"), undefined);
    }
    write("auction", "one");
    assert.equal(state.hash("other", "key"), undefined);
  });
});
