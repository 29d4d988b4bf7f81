import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import fc from "fast-check";
import { loadOpensslRecovery, type Recover, recoverByNoble } from "../../../../src/chain/ledger/secp256k1-recovery.ts";
import { scaled, seed } from "../../../run-settings.ts";

const order = secp256k1.Point.Fn.ORDER;
const loaded = await loadOpensslRecovery();

function signed(secret: Uint8Array, hash: Uint8Array): Buffer {
  const recovered = secp256k1.sign(hash, secret, { prehash: false, format: "recovered" });
  return Buffer.concat([recovered.subarray(1), recovered.subarray(0, 1)]);
}

function signature(r: bigint, s: bigint, v: number): Buffer {
  const numbers = [r, s].map((number) => number.toString(16).padStart(64, "0")).join("");
  return Buffer.from(`${numbers}0${v}`, "hex");
}

const secret = Buffer.alloc(32, 0x11);
const hash = Buffer.alloc(32, 0x22);
const publicKey = Buffer.from(secp256k1.getPublicKey(secret, false));

it("OpenSSL's functions are there, and give noble's answers", () => {
  assert.ok(loaded !== undefined);
});

for (const [name, recover] of [
  ["noble", recoverByNoble],
  ["OpenSSL", loaded ?? recoverByNoble],
] as const satisfies readonly (readonly [string, Recover])[])
  describe(`recovery by ${name}`, () => {
    it("gives the key that has signed, and another one for another hash or v", () => {
      const good = signed(secret, hash);
      assert.deepEqual(recover(hash, good), publicKey);
      assert.notDeepEqual(recover(Buffer.alloc(32, 0x23), good), publicKey);
      const turned = Buffer.from(good);
      turned[64] = 1 - (turned[64] ?? 0);
      assert.notDeepEqual(recover(hash, turned), publicKey);
    });

    it("takes no r or s out of its range, no higher s, no other v, no other length", () => {
      const good = signed(secret, hash);
      const r = BigInt(`0x${good.toString("hex", 0, 32)}`);
      const s = BigInt(`0x${good.toString("hex", 32, 64)}`);
      const v = good[64] ?? 0;
      assert.deepEqual(recover(hash, signature(r, s, v)), publicKey);
      for (const bad of [
        signature(0n, s, v),
        signature(r, 0n, v),
        signature(order, s, v),
        signature(r, order, v),
        signature(r, order - s, 1 - v),
        signature(r, order - s, v),
        signature(r, s, 2),
        signature(r, s, 3),
        signature((1n << 256n) - 1n, s, v),
        good.subarray(1),
        Buffer.concat([good, Buffer.of(0)]),
        Buffer.alloc(0),
      ])
        assert.equal(recover(hash, bad), undefined);
      for (const bytes of [0, 31, 33]) assert.equal(recover(Buffer.alloc(bytes, 1), good), undefined);
    });

    it("has no key for an r that is no x of a point", () => {
      assert.equal(recover(hash, signature(5n, 7n, 0)), undefined);
      assert.ok(recover(hash, signature(6n, 7n, 0)) !== undefined);
    });

    it("has no key where the point is the one at infinity", () => {
      // R = G and s = e: s R − e G is nothing.
      const e = order / 3n;
      const x = secp256k1.Point.BASE.x;
      const y = Number(secp256k1.Point.BASE.y & 1n);
      assert.equal(recover(Buffer.from(e.toString(16).padStart(64, "0"), "hex"), signature(x, e, y)), undefined);
    });

    it("works on after a refusal, and for hashes of 0 and above the order", () => {
      for (const each of [Buffer.alloc(32), Buffer.alloc(32, 0xff)]) {
        recover(hash, signature(5n, 7n, 0));
        assert.deepEqual(recover(each, signed(secret, each)), publicKey);
      }
    });
  });

it("both recoveries answer the same for whatever bytes", () => {
  const bytes = (count: number) => fc.uint8Array({ minLength: count, maxLength: count });
  const small = fc.bigInt({ min: 0n, max: 40n });
  const numbers = fc.oneof(
    small,
    small.map((number) => order - number),
    fc.bigInt({ min: 0n, max: order / 2n }),
  );
  fc.assert(
    fc.property(bytes(32), numbers, numbers, fc.integer({ min: 0, max: 2 }), (given, r, s, v) => {
      const each = signature(r, s, v);
      assert.deepEqual(loaded?.(given, each), recoverByNoble(given, each));
    }),
    { seed, numRuns: scaled(2000) },
  );
});
