import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seed } from "../../../run-settings.ts";
import { withBitFlipped } from "../../../unit/crypto/load-vectors.ts";
import { expandKey, nameOf, providers } from "./providers.ts";
import { SeededBytes } from "./seeded-bytes.ts";

for (const provider of providers)
  describe(`what SM4 by ${nameOf(provider)} refuses`, () => {
    const random = new SeededBytes(seed, "sm4 refusals");

    for (const length of [0, 1, 47, 900, 3_000])
      describe(`of a message of ${length} bytes`, () => {
        const [nonce, associatedData, text] = [random.bytes(12), random.bytes(21), random.bytes(length)];
        const key = random.bytes(16);
        const [ciphertext, tag] = [Buffer.alloc(length), Buffer.alloc(16)];
        expandKey(provider, key).gcmSeal(nonce, associatedData, text, ciphertext, tag);

        const refuses = (
          what: string,
          parts: Partial<Record<"nonce" | "associatedData" | "ciphertext" | "tag" | "key", Uint8Array>>,
        ) => {
          const given = { nonce, associatedData, ciphertext, tag, key, ...parts };
          using expanded = expandKey(provider, given.key);
          const output = Buffer.alloc(given.ciphertext.length, 0x5a);
          const opened = expanded.gcmOpen(given.nonce, given.associatedData, given.ciphertext, given.tag, output);
          assert.equal(opened, false, what);
          assert.ok(
            output.every((byte) => byte === 0),
            `${what}: the output is not zeroed`,
          );
        };

        it("another bit anywhere in the tag, the nonce, the associated data or the key", () => {
          for (const [name, bytes] of Object.entries({ tag, nonce, associatedData, key }))
            for (let bit = 0; bit < 8 * bytes.length; bit++)
              refuses(`bit ${bit} of the ${name}`, { [name]: withBitFlipped(bytes, bit) });
        });

        it("another bit in each byte of the ciphertext", () => {
          for (let byte = 0; byte < length; byte++)
            refuses(`byte ${byte}`, { ciphertext: withBitFlipped(ciphertext, 8 * byte + random.below(8)) });
        });

        it("associated data that is cut, longer, or holds the text's first bytes", () => {
          for (let end = 0; end < associatedData.length; end++)
            refuses(`cut to ${end}`, { associatedData: associatedData.subarray(0, end) });
          refuses("a zero more", { associatedData: Buffer.concat([associatedData, Buffer.alloc(1)]) });
          refuses("zeros to a whole block", { associatedData: Buffer.concat([associatedData, Buffer.alloc(11)]) });
          if (length === 0) return;
          refuses("a byte moved over", {
            associatedData: Buffer.concat([associatedData, ciphertext.subarray(0, 1)]),
            ciphertext: ciphertext.subarray(1),
          });
        });

        it("a ciphertext that is cut or longer, all zeros, or a tag of zeros", () => {
          refuses("a zero more", { ciphertext: Buffer.concat([ciphertext, Buffer.alloc(1)]) });
          refuses("a block more", { ciphertext: Buffer.concat([ciphertext, Buffer.alloc(16)]) });
          refuses("a tag of zeros", { tag: Buffer.alloc(16) });
          if (length === 0) return;
          refuses("the last byte cut", { ciphertext: ciphertext.subarray(0, length - 1) });
          refuses("nothing left", { ciphertext: Buffer.alloc(0) });
          // One byte may well be zero itself.
          if (length > 1) refuses("zeros", { ciphertext: Buffer.alloc(length) });
        });

        it("a forgery in place, whose memory is zeroed", () => {
          using expanded = expandKey(provider, key);
          const here = Buffer.from(ciphertext);
          assert.equal(expanded.gcmOpen(nonce, associatedData, here, withBitFlipped(tag, 5), here), false);
          assert.ok(here.every((byte) => byte === 0));
        });
      });

    it("arguments of another length, before anything is written", () => {
      using expanded = expandKey(provider, random.bytes(16));
      const [counter, nonce, text] = [random.bytes(16), random.bytes(12), random.bytes(40)];
      const output = Buffer.alloc(40, 7);
      const tag = Buffer.alloc(16, 7);
      for (const length of [0, 1, 12, 15, 17, 32])
        assert.throws(() => expanded.ctr(random.bytes(length), text, output), Error, `counter of ${length}`);
      for (const length of [0, 1, 11, 13, 16]) {
        assert.throws(() => expanded.gcmSeal(random.bytes(length), text, text, output, tag), Error);
        assert.throws(() => expanded.gcmOpen(random.bytes(length), text, text, tag, output), Error);
      }
      for (const length of [0, 1, 39, 41, 80]) {
        const other = Buffer.alloc(length, 7);
        assert.throws(() => expanded.ctr(counter, text, other), Error, `output of ${length}`);
        assert.throws(() => expanded.gcmSeal(nonce, text, text, other, tag), Error);
        assert.throws(() => expanded.gcmOpen(nonce, text, text, tag, other), Error);
        assert.ok(other.every((byte) => byte === 7));
      }
      for (const length of [0, 4, 8, 12, 15, 17, 32]) {
        const other = Buffer.alloc(length, 7);
        assert.throws(() => expanded.gcmSeal(nonce, text, text, output, other), Error, `tag of ${length}`);
        assert.throws(() => expanded.gcmOpen(nonce, text, text, other, output), Error, `tag of ${length}`);
        assert.ok(other.every((byte) => byte === 7));
      }
      assert.ok(output.every((byte) => byte === 7) && tag.every((byte) => byte === 7));
    });

    it("memory that has been given away to another thread", () => {
      using expanded = expandKey(provider, random.bytes(16));
      const gone = new Uint8Array(32);
      structuredClone(gone.buffer, { transfer: [gone.buffer] });
      const [here, tag] = [Buffer.alloc(32, 7), Buffer.alloc(16, 7)];
      assert.throws(() => expanded.ctr(random.bytes(16), here, gone), Error);
      assert.throws(() => expanded.ctr(random.bytes(16), gone, here), Error);
      assert.throws(() => expanded.gcmSeal(random.bytes(12), gone, here, gone, tag), Error);
      assert.throws(() => expanded.gcmOpen(random.bytes(12), gone, gone, tag, here), Error);
      assert.ok(here.every((byte) => byte === 7) && tag.every((byte) => byte === 7));
    });

    it("every use of a key that was disposed of, also twice", () => {
      const expanded = expandKey(provider, random.bytes(16));
      const [nonce, text] = [random.bytes(12), random.bytes(40)];
      const [output, tag] = [Buffer.alloc(40, 7), Buffer.alloc(16, 7)];
      expanded[Symbol.dispose]();
      expanded[Symbol.dispose]();
      for (const length of [0, 40]) {
        const [input, into] = [text.subarray(0, length), output.subarray(0, length)];
        assert.throws(() => expanded.ctr(random.bytes(16), input, into), Error);
        assert.throws(() => expanded.gcmSeal(nonce, text, input, into, tag), Error);
        assert.throws(() => expanded.gcmOpen(nonce, text, input, tag, into), Error);
      }
      assert.ok(output.every((byte) => byte === 7) && tag.every((byte) => byte === 7));
    });
  });
