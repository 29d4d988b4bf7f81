import assert from "node:assert/strict";
import { createDecipheriv } from "node:crypto";
import { test } from "node:test";
import { ChaincodeGeneration } from "../../../../src/enclave/protocol/chaincode-keys.ts";
import { decryptState, encryptState, generationOfState } from "../../../../src/enclave/protocol/state-encryption.ts";
import { generation, reason } from "./fixtures.ts";

const [first, second] = [generation(1), generation(2)];
const name = { chaincodeId: "auction", key: "bids/1" };
const value = Buffer.from("a bid of 42");

test("a value opens under its generation, chaincode and key", () => {
  const stored = encryptState(first, name, value);
  assert.equal(generationOfState(stored), 1n);
  assert.deepEqual(decryptState(first, name, stored), value);
  assert.equal(stored.includes("42"), false);
  assert.deepEqual(decryptState(second, name, encryptState(second, name, Buffer.alloc(0))), Buffer.alloc(0));
});

test("a value that the host puts in another place does not open", () => {
  const stored = encryptState(first, name, value);
  const places = [
    { ...name, key: "bids/2" },
    { ...name, key: "" },
    { ...name, chaincodeId: "other" },
    { chaincodeId: "auctionbids", key: "/1" },
    { chaincodeId: "auction\u0000bids/1", key: "" },
  ];
  for (const place of places) assert.throws(() => decryptState(first, place, stored), reason("BAD_CIPHERTEXT"));
});

test("a value of one generation is not read by another, whatever it says", () => {
  const stored = encryptState(first, name, value);
  assert.throws(() => decryptState(second, name, stored), reason("WRONG_CONTEXT"));
  const relabelled = Buffer.from(stored);
  relabelled[4] = 2;
  assert.throws(() => decryptState(second, name, relabelled), reason("BAD_CIPHERTEXT"));
  using sameKey = new ChaincodeGeneration(2n, first.stateKey.clone(), first.dkPem.clone());
  assert.throws(() => decryptState(sameKey, name, relabelled), reason("BAD_CIPHERTEXT"));
});

test("one changed bit in any byte, and every cut, is refused", () => {
  const stored = encryptState(first, name, value);
  for (let at = 0; at < stored.length; at += 1) {
    const altered = Buffer.from(stored);
    altered[at] = (altered[at] ?? 0) ^ (1 << (at % 8));
    const open = () => decryptState(first, name, altered);
    assert.throws(
      open,
      (error: Error & { code?: string }) =>
        at === 0
          ? error.code === "MALFORMED"
          : at < 5
            ? error.code === "WRONG_CONTEXT"
            : error.code === "BAD_CIPHERTEXT",
      `byte ${at}`,
    );
  }
  for (let length = 0; length < stored.length; length += 1)
    assert.throws(
      () => decryptState(first, name, stored.subarray(0, length)),
      reason(length < 33 ? "MALFORMED" : "BAD_CIPHERTEXT"),
    );
});

test("in one transaction two enclaves with the same keys write the same bytes", () => {
  using other = generation(1);
  const tx = "f".repeat(64);
  assert.deepEqual(encryptState(first, name, value, tx), encryptState(other, name, value, tx));
});

test("another transaction, key, chaincode, generation or value has another IV; without a transaction it is random", () => {
  const ivOf = (stored: Buffer) => stored.subarray(5, 17).toString("hex");
  const ivs = [
    encryptState(first, name, value, "a"),
    encryptState(first, name, value, "b"),
    encryptState(first, { ...name, key: "bids/2" }, value, "a"),
    encryptState(first, { ...name, chaincodeId: "other" }, value, "a"),
    encryptState(second, name, value, "a"),
    encryptState(first, name, Buffer.from("a bid of 43"), "a"),
    encryptState(first, name, Buffer.alloc(0), "a"),
    encryptState(first, name, value),
    encryptState(first, name, value),
  ].map(ivOf);
  assert.equal(new Set(ivs).size, ivs.length);
});

test("behind the prefix lies upstream's layout", () => {
  const stored = encryptState(first, name, value);
  const associatedData = Buffer.concat([
    Buffer.from("0100000001", "hex"),
    Buffer.from("00000007", "hex"),
    Buffer.from("auction"),
    Buffer.from("00000006", "hex"),
    Buffer.from("bids/1"),
  ]);
  const decipher = createDecipheriv("aes-128-gcm", Buffer.alloc(16, 0x51), stored.subarray(5, 17))
    .setAAD(associatedData)
    .setAuthTag(stored.subarray(17, 33));
  assert.deepEqual(Buffer.concat([decipher.update(stored.subarray(33)), decipher.final()]), value);
});
