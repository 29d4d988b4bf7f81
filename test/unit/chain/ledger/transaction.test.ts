import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LedgerError } from "../../../../src/chain/ledger/errors.ts";
import {
  decodeTransaction,
  isSignedBySender,
  maxTransactionBytes,
  signTransaction,
} from "../../../../src/chain/ledger/transaction.ts";
import type { TransactionBody } from "../../../../src/chain/ledger/types.ts";
import { keyedHashChain, signedChain, type TestChain } from "../../../simulation/sealers.ts";
import { signedTransaction } from "../../../simulation/transactions.ts";

const unsigned: TransactionBody = {
  chainId: "chain0",
  groupId: "group0",
  genesisHash: Buffer.alloc(32, 6),
  nonce: Buffer.alloc(16, 1),
  blockLimit: 100,
  operation: { kind: "set", key: Buffer.from("k"), value: Buffer.from("v") },
};

function signerOf({ chain, account }: TestChain) {
  return {
    algorithm: chain.suite.algorithm,
    publicKey: account.publicKey,
    sign: async (digest: Buffer) => account.sign(digest),
  };
}

describe("a transaction", () => {
  const cheap = keyedHashChain(1);
  const { suite } = cheap.chain;

  for (const name of ["sm", "standard"] as const)
    it(`signed by a device on a ${name} chain reads back as it was, with its sender`, async () => {
      const test = signedChain(name, 1);
      const made = await signTransaction(test.chain.suite, signerOf(test), unsigned);
      const read = decodeTransaction(test.chain.suite, made.encoded);
      assert.deepEqual(read, made);
      assert.ok(read.sender.equals(test.account.publicKey.subarray(1)));
      assert.ok(isSignedBySender(test.chain.suite, read));
    });

  for (const name of ["sm", "standard"] as const)
    it(`of a ${name} chain names its chain's genesis and its sender in what is signed`, async () => {
      const test = signedChain(name, 1);
      const { suite: real } = test.chain;
      const made = await signTransaction(real, signerOf(test), unsigned);
      const abroad = await signTransaction(real, signerOf(test), { ...unsigned, genesisHash: Buffer.alloc(32, 7) });
      assert.ok(!abroad.hash.equals(made.hash));
      assert.ok(!isSignedBySender(real, { ...abroad, signature: made.signature }), "a signature of another chain");
      // A second account signs the very hash of the first one's transaction.
      const thief = signedChain(name, 1).account;
      assert.ok(!thief.publicKey.equals(test.account.publicKey));
      const rs = thief.sign(real.signingDigest(thief.publicKey, made.hash));
      const signature = real.transactionSignature(thief.publicKey, made.hash, rs);
      const stolen = decodeTransaction(
        real,
        Buffer.concat([made.encoded.subarray(0, -real.transactionSignatureBytes), signature]),
      );
      assert.ok(stolen.hash.equals(made.hash));
      assert.ok(!isSignedBySender(real, stolen));
    });

  it("is refused when cut at any byte, or when bytes follow", () => {
    const encoded = signedTransaction(cheap, unsigned.nonce, unsigned.operation);
    for (let length = 0; length < encoded.length; length++)
      assert.throws(() => decodeTransaction(suite, encoded.subarray(0, length)), invalid, `${length}`);
    assert.throws(() => decodeTransaction(suite, Buffer.concat([encoded, Buffer.of(0)])), invalid);
  });

  it("has one encoding: no other bytes read as the same parts", () => {
    const encoded = signedTransaction(cheap, unsigned.nonce, unsigned.operation);
    const read = decodeTransaction(suite, encoded);
    assert.deepEqual(read.encoded, encoded);
    for (let at = 0; at < encoded.length - 128; at++) {
      const turned = Buffer.from(encoded);
      turned[at] = (turned[at] ?? 0) ^ 1;
      try {
        assert.notDeepEqual(decodeTransaction(suite, turned).hash, read.hash, `byte ${at}`);
      } catch (error) {
        assert.ok(invalid(error), `byte ${at}`);
      }
    }
  });

  for (const [what, change] of [
    ["a nonce that is too short", { nonce: Buffer.alloc(15) }],
    ["a nonce that is too long", { nonce: Buffer.alloc(33) }],
    ["no chain id", { chainId: "" }],
    ["a chain id that is too long", { chainId: "x".repeat(65) }],
    ["no key", { operation: { kind: "get", key: Buffer.alloc(0) } }],
    ["a key that is too long", { operation: { kind: "get", key: Buffer.alloc(257) } }],
    ["a value that is too long", { operation: { kind: "set", key: Buffer.of(1), value: Buffer.alloc(4097) } }],
  ] as const satisfies readonly (readonly [string, Partial<TransactionBody>])[]) {
    it(`with ${what} is neither signed nor read`, async () => {
      await assert.rejects(signTransaction(suite, signerOf(cheap), { ...unsigned, ...change }), {
        code: "TRANSACTION_REFUSED",
      });
      const { nonce, operation, ...rest } = { ...unsigned, ...change };
      assert.throws(() => decodeTransaction(suite, signedTransaction(cheap, nonce, operation, rest)), invalid);
    });
  }

  it("at its longest has the length that is allowed", () => {
    const operation = { kind: "set", key: Buffer.alloc(256), value: Buffer.alloc(4096) } as const;
    const names = { chainId: "c".repeat(64), groupId: "g".repeat(64) };
    assert.equal(signedTransaction(cheap, Buffer.alloc(32), operation, names).length, maxTransactionBytes);
  });

  it("of a key of the other algorithm is not signed", async () => {
    const signer = { ...signerOf(cheap), algorithm: "secp256k1" } as const;
    await assert.rejects(signTransaction(suite, signer, unsigned), { code: "TRANSACTION_REFUSED" });
  });

  it("with a text that is not UTF-8, an unknown version or operation, or a number above 2^53 is not read", () => {
    const encoded = signedTransaction(cheap, unsigned.nonce, unsigned.operation);
    const changed = (at: number, byte: number): Buffer => {
      const copy = Buffer.from(encoded);
      copy[at] = byte;
      return copy;
    };
    // version 0; chain id from 5; block limit 137 to 144; operation 145.
    for (const [at, byte] of [
      [0, 1],
      [5, 0xff],
      [137, 0x80],
      [145, 3],
    ] as const)
      assert.throws(() => decodeTransaction(suite, changed(at, byte)), invalid, `byte ${at}`);
  });
});

function invalid(error: unknown): boolean {
  return error instanceof LedgerError && error.code === "ENCODING_INVALID";
}
