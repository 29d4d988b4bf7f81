import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LedgerError } from "../../../../src/chain/ledger/errors.ts";
import { chainSuites } from "../../../../src/chain/ledger/suite.ts";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { sm2SignDigest } from "../../../../src/crypto/sm2-digest.ts";
import { signedChain } from "../../../simulation/sealers.ts";

const message = Buffer.alloc(32, 7);

for (const name of ["sm", "standard"] as const) {
  const suite = chainSuites[name];
  const { keys } = signedChain(name, 2);
  const [key, other] = keys;
  assert.ok(key !== undefined && other !== undefined);
  const rs = key.sign(suite.signingDigest(key.publicKey, message));

  describe(`signatures of a ${name} chain`, () => {
    it("verify under the sealer's key and have the suite's length", () => {
      const signature = suite.sealerSignature(key.publicKey, message, rs);
      assert.equal(signature.length, suite.sealerSignatureBytes);
      assert.ok(suite.verifier(key.publicKey).verify(message, signature));
    });

    it("do not verify under another key, for another hash, or with any bit turned", () => {
      const signature = suite.sealerSignature(key.publicKey, message, rs);
      assert.ok(!suite.verifier(other.publicKey).verify(message, signature));
      assert.ok(!suite.verifier(key.publicKey).verify(Buffer.alloc(32, 8), signature));
      for (let at = 0; at < signature.length; at += 5) {
        const turned = Buffer.from(signature);
        turned[at] = (turned[at] ?? 0) ^ 0x10;
        assert.ok(!suite.verifier(key.publicKey).verify(message, turned), `byte ${at}`);
      }
    });

    it("are false, not an error, when cut, long, empty or zero", () => {
      const verifier = suite.verifier(key.publicKey);
      for (const bytes of [
        Buffer.alloc(0),
        rs.subarray(1),
        Buffer.alloc(suite.sealerSignatureBytes),
        Buffer.alloc(200, 1),
      ])
        assert.equal(verifier.verify(message, bytes), false);
    });

    it("of a transaction give its sender, and no one for a forged one", () => {
      const signature = suite.transactionSignature(key.publicKey, message, rs);
      assert.equal(signature.length, suite.transactionSignatureBytes);
      assert.ok(suite.senderOf(message, signature)?.equals(key.publicKey));
      assert.ok(!suite.senderOf(Buffer.alloc(32, 8), signature)?.equals(key.publicKey));
      assert.equal(suite.senderOf(message, Buffer.alloc(suite.transactionSignatureBytes, 0xff)), undefined);
      assert.equal(suite.senderOf(message, signature.subarray(1)), undefined);
    });

    it("that a device has made with another key are refused before a peer sees them", () => {
      for (const bad of [rs.subarray(1), Buffer.alloc(64), Buffer.alloc(64, 0xff)])
        assert.throws(() => suite.sealerSignature(key.publicKey, message, bad), refused);
      assert.throws(() => suite.sealerSignature(other.publicKey, message, rs), refused);
    });

    it("need a public key on the curve", () => {
      assert.throws(() => suite.verifier(Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)])), {
        code: "KEY_FORMAT_INVALID",
      });
    });
  });
}

it("a transaction's signature of an SM chain is r ‖ s ‖ X ‖ Y, as FISCO BCOS has it", () => {
  const { scalar, publicKey } = generateKeyPair("sm2");
  using secret = scalar;
  const { sm } = chainSuites;
  const rs = sm2SignDigest(secret, sm.signingDigest(publicKey, message));
  const signature = sm.transactionSignature(publicKey, message, rs);
  assert.deepEqual(signature, Buffer.concat([rs, publicKey.subarray(1)]));
  assert.equal(signature.length, 128);
});

it("a standard chain takes the lower of the two signatures only", () => {
  const { keys } = signedChain("standard", 1);
  const { standard } = chainSuites;
  const [key] = keys;
  assert.ok(key !== undefined);
  const low = standard.sealerSignature(key.publicKey, message, key.sign(message));
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const highS = order - BigInt(`0x${low.subarray(32, 64).toString("hex")}`);
  const rs = Buffer.concat([low.subarray(0, 32), Buffer.from(highS.toString(16).padStart(64, "0"), "hex")]);
  assert.deepEqual(standard.sealerSignature(key.publicKey, message, rs), low, "a device's high s is turned");
  const high = Buffer.concat([rs, Buffer.of(1 - (low[64] ?? 0))]);
  assert.equal(standard.verifier(key.publicKey).verify(message, high), false);
});

function refused(error: unknown): boolean {
  return error instanceof LedgerError && error.code === "SIGNATURE_UNUSABLE";
}
