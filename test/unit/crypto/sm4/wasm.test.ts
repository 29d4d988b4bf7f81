import assert from "node:assert/strict";
import { createCipheriv, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import type { Sm4Key } from "../../../../src/crypto/sm4/provider.ts";
import { wasmSm4, wasmSm4On } from "../../../../src/crypto/sm4/wasm.ts";
import { layout, pieceBytes } from "../../../../src/crypto/sm4/wasm-layout.ts";
import { type InstructionSet, startSm4Machine } from "../../../../src/crypto/sm4/wasm-machine.ts";
import { fromHex, loadVectors } from "../load-vectors.ts";

const vectors = loadVectors<{
  blocks: readonly { source: string; key: string; plaintext: string; times: number; ciphertext: string }[];
  ctr: readonly { source: string; key: string; counter: string; plaintext: string; ciphertext: string }[];
  gcm: readonly {
    source: string;
    key: string;
    nonce: string;
    associatedData: string;
    plaintext: string;
    ciphertext: string;
    tag: string;
  }[];
}>("sm4.json");

/** One block of the bare cipher: the keystream of a counter that is the block. */
function encryptBlock(key: Sm4Key, block: Uint8Array): Buffer {
  const output = Buffer.alloc(16);
  key.ctr(block, output, output);
  return output;
}

for (const instructionSet of ["relaxed-simd128", "simd128"] as const satisfies readonly InstructionSet[])
  describe(`SM4 in WebAssembly with ${instructionSet}`, () => {
    const machine = startSm4Machine([instructionSet]);
    const provider = wasmSm4On(machine);
    const expand = (bytes: Uint8Array) => provider.expand(SecretBuffer.copyOf(bytes));

    it("says what it is", () => {
      assert.equal(provider.name, "wasm");
      assert.equal(provider.detail, instructionSet);
    });

    for (const { source, key, plaintext, times, ciphertext } of vectors.blocks)
      it(`encrypts the block of ${source}, ${times} times`, () => {
        using expanded = expand(fromHex(key));
        let block: Buffer = fromHex(plaintext);
        for (let time = 0; time < times; time++) block = encryptBlock(expanded, block);
        assert.equal(block.toString("hex"), ciphertext);
      });

    for (const { source, key, counter, plaintext, ciphertext } of vectors.ctr)
      it(`counts as ${source}`, () => {
        using expanded = expand(fromHex(key));
        const output = Buffer.alloc(plaintext.length / 2);
        expanded.ctr(fromHex(counter), fromHex(plaintext), output);
        assert.equal(output.toString("hex"), ciphertext);
      });

    for (const vector of vectors.gcm)
      it(`seals and opens the message of ${vector.source}`, () => {
        using expanded = expand(fromHex(vector.key));
        const [nonce, associatedData] = [fromHex(vector.nonce), fromHex(vector.associatedData)];
        const ciphertext = Buffer.alloc(vector.plaintext.length / 2);
        const tag = Buffer.alloc(16);
        expanded.gcmSeal(nonce, associatedData, fromHex(vector.plaintext), ciphertext, tag);
        assert.equal(ciphertext.toString("hex"), vector.ciphertext);
        assert.equal(tag.toString("hex"), vector.tag);
        const plaintext = Buffer.alloc(ciphertext.length);
        assert.equal(expanded.gcmOpen(nonce, associatedData, ciphertext, tag, plaintext), true);
        assert.equal(plaintext.toString("hex"), vector.plaintext);
      });

    it("expands keys as OpenSSL does, each single bit of a key included", () => {
      const block = randomBytes(16);
      for (let bit = 0; bit < 128; bit++) {
        const key = Buffer.alloc(16);
        key.writeUInt8(1 << (bit & 7), bit >> 3);
        using expanded = expand(key);
        const ecb = createCipheriv("sm4-ecb", key, null);
        assert.deepEqual(encryptBlock(expanded, block), ecb.update(block));
      }
    });

    it("keeps two keys in use at once apart", () => {
      const [firstKey, secondKey, block] = [randomBytes(16), randomBytes(16), randomBytes(16)];
      using first = expand(firstKey);
      using second = expand(secondKey);
      const [ofFirst, ofSecond] = [encryptBlock(first, block), encryptBlock(second, block)];
      assert.notDeepEqual(ofFirst, ofSecond);
      assert.deepEqual(encryptBlock(first, block), ofFirst);
      second[Symbol.dispose]();
      assert.deepEqual(encryptBlock(first, block), ofFirst);
    });

    it("keeps nothing of a key in its memory once that is disposed of", () => {
      const key = expand(randomBytes(16));
      const text = randomBytes(100);
      key.gcmSeal(randomBytes(12), text, text, Buffer.alloc(100), Buffer.alloc(16));
      assert.ok(machine.memory.subarray(0, layout.data).some((byte) => byte !== 0));
      key[Symbol.dispose]();
      assert.ok(machine.memory.every((byte) => byte === 0));
    });

    it("keeps nothing of a key that another has taken the place of", () => {
      const first = expand(randomBytes(16));
      encryptBlock(first, randomBytes(16));
      const roundKeys = Buffer.from(machine.memory.subarray(0, layout.counter));
      using second = expand(randomBytes(16));
      encryptBlock(second, randomBytes(16));
      first[Symbol.dispose]();
      assert.equal(machine.memory.indexOf(roundKeys.subarray(0, 16)), -1);
      assert.ok(machine.memory.subarray(0, layout.counter).some((byte) => byte !== 0));
    });

    it("leaves no text in its memory, for short and long messages, good and forged", () => {
      using key = expand(randomBytes(16));
      for (const length of [1, 15, 100, 1024, 1025, pieceBytes, pieceBytes + 1, 3 * pieceBytes + 7]) {
        const [nonce, text] = [randomBytes(12), randomBytes(length)];
        const [sealed, tag] = [Buffer.alloc(length), Buffer.alloc(16)];
        const nothingLeft = () => machine.memory.subarray(layout.data).every((byte) => byte === 0);
        key.ctr(randomBytes(16), text, sealed);
        assert.ok(nothingLeft(), `counter mode, ${length} bytes`);
        key.gcmSeal(nonce, text, text, sealed, tag);
        assert.ok(nothingLeft(), `seal, ${length} bytes`);
        const forged = Buffer.from(sealed);
        forged.writeUInt8(forged.readUInt8(length - 1) ^ 1, length - 1);
        assert.equal(key.gcmOpen(nonce, text, sealed, tag, sealed), true);
        assert.ok(nothingLeft(), `open, ${length} bytes`);
        assert.equal(key.gcmOpen(nonce, text, forged, tag, sealed), false);
        assert.ok(nothingLeft(), `forged, ${length} bytes`);
      }
    });

    it("does not keep the key that it is given", () => {
      const secret = SecretBuffer.copyOf(fromHex("0123456789abcdeffedcba9876543210"));
      using key = provider.expand(secret);
      secret[Symbol.dispose]();
      const block = fromHex("0123456789abcdeffedcba9876543210");
      assert.equal(encryptBlock(key, block).toString("hex"), "681edf34d206965e86b3e94f536e4246");
    });

    it("refuses keys of another length, and wiped ones", () => {
      for (const length of [0, 8, 15, 17, 24, 32]) assert.throws(() => expand(new Uint8Array(length)), RangeError);
      const wiped = SecretBuffer.random(16);
      wiped[Symbol.dispose]();
      assert.throws(() => provider.expand(wiped), /wiped/);
    });
  });

describe("the provider of SM4 in WebAssembly", () => {
  it("is one for the whole thread", () => {
    assert.equal(wasmSm4(), wasmSm4());
  });

  it("is refused where the engine has none of the instructions asked for", () => {
    assert.throws(() => startSm4Machine([]), /WebAssembly/);
  });
});
