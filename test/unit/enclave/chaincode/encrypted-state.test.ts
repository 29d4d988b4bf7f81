import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { EncryptedState, type StateCipher } from "../../../../src/enclave/chaincode/encrypted-state.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";

/** Not a cipher: marks what went through it, so that plaintext that does not is seen. */
const fakeCipher: StateCipher = {
  encrypt: (key, value) => Buffer.concat([Buffer.from(`fake:${key}:`), value]),
  decrypt(key, stored) {
    const head = `fake:${key}:`;
    if (!Buffer.from(stored).toString("latin1").startsWith(head))
      throw new EnclaveError("BAD_CIPHERTEXT", "not one of the fake cipher's");
    return Buffer.from(stored.subarray(head.length));
  },
};

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

const hashOf = (text: string | undefined) =>
  text === undefined ? undefined : createHash("sha256").update(text).digest();

function stateOver(stored: Record<string, string>) {
  const asked: string[] = [];
  const state = new EncryptedState(fakeCipher, {
    stored: async (key) => {
      asked.push(key);
      const value = stored[key];
      return value === undefined ? undefined : Buffer.from(value);
    },
    hashes: async (keys) => keys.map((key) => hashOf(stored[key])),
  });
  const set = (withWrites = true) => {
    const { rwSet, readValueHashes } = state.readWriteSet(withWrites);
    return {
      reads: rwSet?.reads.map(({ key }) => key),
      hashes: readValueHashes.map((hash) => Buffer.from(hash).toString("hex")),
      writes: rwSet?.writes.map(({ key, value, isDelete }) => [key, isDelete ? "-" : Buffer.from(value).toString()]),
    };
  };
  return { state, asked, set };
}

describe("a state that is encrypted", () => {
  it("notes what was read, present or absent, by the hash of what the host gave", async () => {
    const { state, asked, set } = stateOver({ b: "fake:b:two", c: "fake:c:three" });
    assert.equal((await state.get("b"))?.toString(), "two");
    assert.equal(await state.get("a"), undefined);
    await state.get("b");
    assert.deepEqual(asked, ["b", "a"]);
    assert.deepEqual(set(), { reads: ["a", "b"], hashes: [sha256(""), sha256("fake:b:two")], writes: [] });
  });

  it("keeps writes back, encrypted, in the order of their keys, the last of each", async () => {
    const { state, asked, set } = stateOver({ z: "fake:z:old" });
    state.put("z", Buffer.from("1"));
    state.put("b", Buffer.from("2"));
    state.put("z", Buffer.from("3"));
    state.delete("c");
    assert.equal((await state.get("z"))?.toString(), "3");
    assert.equal(await state.get("c"), undefined);
    assert.deepEqual(asked, [], "what was written was asked of the host");
    assert.deepEqual(set().writes, [
      ["b", "fake:b:2"],
      ["c", "-"],
      ["z", "fake:z:3"],
    ]);
  });

  it("gives the reads alone where the call was refused", async () => {
    const { state, set } = stateOver({});
    await state.get("a");
    state.put("a", Buffer.from("1"));
    assert.deepEqual(set(false), { reads: ["a"], hashes: [sha256("")], writes: [] });
  });

  it("is not changed by what a chaincode does with a value that it was given or gave", async () => {
    const { state, set } = stateOver({ a: "fake:a:abc" });
    (await state.get("a"))?.fill(0);
    assert.equal((await state.get("a"))?.toString(), "abc");
    const mine = Buffer.from("def");
    state.put("b", mine);
    mine.fill(0);
    assert.deepEqual(set().writes, [["b", "fake:b:def"]]);
  });

  it("refuses a stored value of another key, or one that is plain", async () => {
    for (const stored of ["fake:b:1", "plain"])
      await assert.rejects(stateOver({ a: stored }).state.get("a"), { code: "BAD_CIPHERTEXT" });
  });

  it("refuses keys that Fabric has no place for, and values that are too long", async () => {
    const { state } = stateOver({});
    for (const key of ["", "a\u0000b", "a\u{10ffff}", "\ud800", "a".repeat(1025)]) {
      await assert.rejects(state.get(key), { code: "MALFORMED" });
      assert.throws(() => state.put(key, Buffer.from("1")), { code: "MALFORMED" });
      assert.throws(() => state.delete(key), { code: "MALFORMED" });
    }
    assert.throws(() => state.put("a", Buffer.alloc((1 << 20) + 1)), { code: "MALFORMED" });
  });

  it("ends a call that reads without end", async () => {
    const { state } = stateOver({});
    for (let index = 0; index < 1000; index++) await state.get(`key${index}`);
    await assert.rejects(state.get("one more"), { code: "MALFORMED" });
  });
});
