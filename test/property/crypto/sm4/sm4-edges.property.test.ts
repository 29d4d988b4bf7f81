import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { scaled, seed } from "../../../run-settings.ts";
import { opensslCtr, opensslSeal } from "./openssl-oracle.ts";
import { expandKey, nameOf, providers } from "./providers.ts";
import { SeededBytes } from "./seeded-bytes.ts";

/** Around every size at which some implementation changes its way: passes, pieces, short messages, pages. */
const turningPoints = [511, 512, 513, 1007, 1008, 1009, 1023, 1024, 1025, 4095, 4096, 4097, 32_767, 32_768, 32_769];

for (const provider of providers)
  describe(`SM4 by ${nameOf(provider)} at its edges`, () => {
    const random = new SeededBytes(seed, "sm4 edges");

    it("gives OpenSSL's bytes for every length from 0 to 300 and around every turning point", () => {
      const key = random.bytes(16);
      using expanded = expandKey(provider, key);
      for (const length of [...Array(301).keys(), ...turningPoints, 65_536, 100_001]) {
        const [counter, nonce, text] = [random.bytes(16), random.bytes(12), random.bytes(length)];
        const output = Buffer.alloc(length);
        expanded.ctr(counter, text, output);
        assert.deepEqual(output, opensslCtr(key, counter, text), `counter mode of ${length} bytes`);
        for (const [associatedData, plaintext] of [
          [random.bytes(random.below(40)), text],
          [text, random.bytes(random.below(40))],
        ] as const) {
          const expected = opensslSeal(key, nonce, associatedData, plaintext);
          const [ciphertext, tag] = [Buffer.alloc(plaintext.length), Buffer.alloc(16)];
          expanded.gcmSeal(nonce, associatedData, plaintext, ciphertext, tag);
          const sizes = `${associatedData.length} + ${plaintext.length} bytes`;
          assert.deepEqual({ ciphertext, tag }, expected, sizes);
          const back = Buffer.alloc(plaintext.length);
          assert.ok(expanded.gcmOpen(nonce, associatedData, ciphertext, tag, back), sizes);
          assert.ok(back.equals(plaintext), sizes);
        }
      }
    });

    it("carries into each byte of the counter, at each block of a long text", () => {
      const key = random.bytes(16);
      using expanded = expandKey(provider, key);
      const text = random.bytes(16 * 70 + 5);
      const output = Buffer.alloc(text.length);
      for (let ones = 1; ones <= 16; ones++)
        for (const before of [0, 1, 2, 3, 7, 8, 14, 15, 16, 17, 31, 32, 33, 63, 64]) {
          const counter = random.bytes(16);
          counter.fill(0xff, 16 - ones);
          counter.writeUInt8(0xff - before, 15);
          expanded.ctr(counter, text, output);
          assert.ok(output.equals(opensslCtr(key, counter, text)), `${ones} bytes of ones, ${before} blocks before`);
        }
    });

    it("wraps the counter around after all ones", () => {
      const key = random.bytes(16);
      using expanded = expandKey(provider, key);
      const zeros = Buffer.alloc(64);
      const output = Buffer.alloc(64);
      expanded.ctr(Buffer.alloc(16, 0xff), zeros, output);
      const fromZero = Buffer.alloc(48);
      expanded.ctr(Buffer.alloc(16), zeros.subarray(16), fromZero);
      assert.deepEqual(output.subarray(16), fromZero);
    });

    it("leaves the counter, the nonce, the associated data and the input as they were", () => {
      using expanded = expandKey(provider, random.bytes(16));
      for (const length of [0, 1, 16, 300, 2_000, 40_000]) {
        const given = [random.bytes(16), random.bytes(12), random.bytes(length), random.bytes(length)] as const;
        const copies = given.map((bytes) => Buffer.from(bytes));
        const [counter, nonce, associatedData, text] = given;
        const [output, tag] = [Buffer.alloc(length), Buffer.alloc(16)];
        expanded.ctr(counter, text, output);
        expanded.gcmSeal(nonce, associatedData, text, output, tag);
        const sealed = Buffer.from(output);
        expanded.gcmOpen(nonce, associatedData, output, tag, Buffer.alloc(length));
        assert.deepEqual([...given], copies);
        assert.deepEqual(output, sealed);
      }
    });

    it("works in place, and is its own inverse in counter mode", () => {
      using expanded = expandKey(provider, random.bytes(16));
      for (const length of [0, 1, 15, 16, 17, 255, 256, 257, 1_000, 1_025, 5_000, 32_769, 70_000]) {
        const [counter, nonce, associatedData] = [random.bytes(16), random.bytes(12), random.bytes(20)];
        const text = random.bytes(length);
        const apart = Buffer.alloc(length);
        const here = Buffer.from(text);
        expanded.ctr(counter, text, apart);
        expanded.ctr(counter, here, here);
        assert.ok(here.equals(apart), `counter mode of ${length} bytes`);
        expanded.ctr(counter, here, here);
        assert.ok(here.equals(text), `counter mode of ${length} bytes, back`);
        const [tag, tagApart] = [Buffer.alloc(16), Buffer.alloc(16)];
        expanded.gcmSeal(nonce, associatedData, text, apart, tagApart);
        expanded.gcmSeal(nonce, associatedData, here, here, tag);
        assert.ok(here.equals(apart) && tag.equals(tagApart), `seal of ${length} bytes`);
        assert.ok(expanded.gcmOpen(nonce, associatedData, here, tag, here), `open of ${length} bytes`);
        assert.ok(here.equals(text), `open of ${length} bytes`);
      }
    });

    it("continues a text whose first blocks were encrypted before, wherever it is cut", () => {
      const key = random.bytes(16);
      using expanded = expandKey(provider, key);
      for (let round = 0; round < scaled(2_000); round++) {
        const counter = random.bytes(16);
        counter.fill(0xff, 4 + random.below(12));
        const text = random.bytes(16 * random.below(120) + random.below(16));
        const expected = opensslCtr(key, counter, text);
        const output = Buffer.alloc(text.length);
        let block = 0;
        while (16 * block < text.length) {
          const blocks = 1 + random.below(40);
          const [from, to] = [16 * block, Math.min(text.length, 16 * (block + blocks))];
          expanded.ctr(addToCounter(counter, block), text.subarray(from, to), output.subarray(from, to));
          block += blocks;
        }
        assert.ok(output.equals(expected), `round ${round} of seed ${seed}`);
      }
    });

    it("writes exactly its output, whatever the alignment of each argument", () => {
      const key = random.bytes(16);
      using expanded = expandKey(provider, key);
      for (let round = 0; round < scaled(4_000); round++) {
        const length = random.below(random.below(20) === 0 ? 40_000 : 700);
        const memory = { input: random.bytes(length + 32), output: random.bytes(length + 64), tag: random.bytes(48) };
        const [nonceRoom, dataRoom] = [random.bytes(28), random.bytes(100)];
        const [nonceAt, dataAt, inputAt, outputAt, tagAt] = Array.from({ length: 5 }, () => random.below(16)) as [
          number,
          number,
          number,
          number,
          number,
        ];
        const nonce = nonceRoom.subarray(nonceAt, nonceAt + 12);
        const associatedData = dataRoom.subarray(dataAt, dataAt + random.below(80));
        const input = memory.input.subarray(inputAt, inputAt + length);
        const before = Buffer.from(memory.output);
        const expected = opensslSeal(key, nonce, associatedData, input);
        const [output, tag] = [
          memory.output.subarray(outputAt, outputAt + length),
          memory.tag.subarray(tagAt, tagAt + 16),
        ];
        expanded.gcmSeal(nonce, associatedData, input, output, tag);
        assert.ok(output.equals(expected.ciphertext) && tag.equals(expected.tag), `round ${round} of seed ${seed}`);
        assert.ok(
          memory.output.subarray(0, outputAt).equals(before.subarray(0, outputAt)),
          "written before the output",
        );
        assert.ok(
          memory.output.subarray(outputAt + length).equals(before.subarray(outputAt + length)),
          "written behind the output",
        );
      }
    });

    it("keeps many keys apart that are used in turns", () => {
      const keys = Array.from({ length: 20 }, () => random.bytes(16));
      const expanded = keys.map((key) => expandKey(provider, key));
      for (let round = 0; round < scaled(4_000); round++) {
        const index = random.below(keys.length);
        const [key, one] = [keys[index] as Buffer, expanded[index] as (typeof expanded)[number]];
        const [nonce, text] = [random.bytes(12), random.bytes(random.below(100))];
        const [ciphertext, tag] = [Buffer.alloc(text.length), Buffer.alloc(16)];
        one.gcmSeal(nonce, text, text, ciphertext, tag);
        assert.deepEqual({ ciphertext, tag }, opensslSeal(key, nonce, text, text));
      }
      for (const one of expanded) one[Symbol.dispose]();
    });
  });

/** The counter `blocks` further on, of 128 bits. */
function addToCounter(counter: Buffer, blocks: number): Buffer {
  const sum = BigInt.asUintN(128, BigInt(`0x${counter.toString("hex")}`) + BigInt(blocks));
  return Buffer.from(sum.toString(16).padStart(32, "0"), "hex");
}
