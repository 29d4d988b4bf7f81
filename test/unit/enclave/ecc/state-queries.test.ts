import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import {
  answerStateQuery,
  hashesTransaction,
  readHashes,
  storedTransaction,
} from "../../../../src/enclave/ecc/state-queries.ts";

const state = new Map([
  ["a", Buffer.from("one")],
  ["empty", Buffer.alloc(0)],
  ["\u0000responses\u0000tx\u0000", Buffer.from("applied")],
]);
const ask = (transaction: string | undefined, ...args: string[]) =>
  answerStateQuery(async (key) => state.get(key), transaction, args);
const hash = (text: string) => createHash("sha256").update(text).digest();

describe("queries for what is stored", () => {
  it("give a value, and nothing where there is none", async () => {
    assert.equal(await ask(storedTransaction, "a"), Buffer.from("one").toString("base64"));
    assert.equal(await ask(storedTransaction, "b"), "");
  });

  it("give hashes in the order of the keys, of the records of commits as well", async () => {
    const keys = ["none", "a", "empty", "\u0000responses\u0000tx\u0000"];
    const answer = (await ask(hashesTransaction, ...keys)) ?? "";
    assert.deepEqual(readHashes(answer, 4), [undefined, hash("one"), undefined, hash("applied")]);
    assert.deepEqual(readHashes((await ask(hashesTransaction, "none")) ?? "", 1), [undefined]);
  });

  it("refuse no keys, too many and empty ones", async () => {
    for (const args of [[], [""], ["a", "b"], ["\u0000responses\u0000tx\u0000"]])
      await assert.rejects(ask(storedTransaction, ...args), { code: "MALFORMED" });
    for (const args of [[], [""], ["a", ""], Array<string>(1001).fill("a")])
      await assert.rejects(ask(hashesTransaction, ...args), { code: "MALFORMED" });
  });

  it("are no other transaction's", async () => {
    for (const name of ["__invoke", "", undefined]) assert.equal(await ask(name, "a"), undefined);
  });

  it("are not read as hashes where they are none, or of another number of keys", () => {
    const one = "ab".repeat(32);
    for (const text of [one.toUpperCase(), one.slice(2), `${one},`, ` ${one}`, "x"])
      assert.throws(() => readHashes(text, 1), { code: "MALFORMED" });
    assert.throws(() => readHashes(one, 2), { code: "MALFORMED" });
  });
});
