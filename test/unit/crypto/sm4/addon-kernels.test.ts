import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { addonSm4 } from "../../../../src/crypto/sm4/addon.ts";
import { checkSm4Provider } from "../../../../src/crypto/sm4/known-answers.ts";
import type { Sm4Key, Sm4Provider } from "../../../../src/crypto/sm4/provider.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { noCompiler, testAddon } from "./addon-build.ts";
import { bytesFrom, referenceCtr, referenceSeal } from "./sm4-reference.ts";

interface Kernel {
  readonly title: string;
  readonly provider: Sm4Provider;
  /** Emulated instructions take a hundred times as long. */
  readonly isSlow: boolean;
}

function kernels(): readonly Kernel[] {
  const real = testAddon("real");
  const emulated = testAddon("emulated");
  return [
    ...real.kernels().map((name) => ({ title: name, provider: addonSm4(real, name), isSlow: false })),
    ...emulated
      .kernels()
      .filter((name) => name.includes("gfni"))
      .map((name) => ({ title: `${name}, emulated`, provider: addonSm4(emulated, name), isSlow: true })),
  ];
}

const key16 = bytesFrom(seed, 16);
const expand = (provider: Sm4Provider, key: Buffer = key16): Sm4Key => {
  using secret = SecretBuffer.copyOf(key);
  return provider.expand(secret);
};

/** Compares GCM of one message, apart and in place, with OpenSSL. `shift` moves the buffers away from aligned addresses. */
function compareGcm(key: Sm4Key, nonce: Buffer, associatedData: Buffer, plaintext: Buffer, shift = 0): void {
  const { length } = plaintext;
  const expected = referenceSeal(key16, nonce, associatedData, plaintext);
  const memory = Buffer.alloc(2 * length + 200);
  const input = memory.subarray(shift, shift + length);
  const output = memory.subarray(length + 100 + shift * 3, 2 * length + 100 + shift * 3);
  const tag = Buffer.alloc(17).subarray(1);
  input.set(plaintext);
  key.gcmSeal(nonce, associatedData, input, output, tag);
  same(output, expected.ciphertext);
  same(tag, expected.tag);
  key.gcmSeal(nonce, associatedData, input, input, tag);
  same(input, expected.ciphertext);
  same(tag, expected.tag);
  assert.equal(key.gcmOpen(nonce, associatedData, output, tag, output), true);
  same(output, plaintext);
  assert.equal(key.gcmOpen(nonce, associatedData, input, tag, output), true);
  same(output, plaintext);
}

function compareCtr(key: Sm4Key, counter: Buffer, input: Buffer, shift = 0): void {
  const expected = referenceCtr(key16, counter, input);
  const memory = Buffer.alloc(input.length + 100);
  const output = memory.subarray(shift, shift + input.length);
  key.ctr(counter, input, output);
  same(output, expected);
  output.set(input);
  key.ctr(counter, output, output);
  same(output, expected);
}

describe("the kernels of the SM4 addon", { skip: noCompiler }, () => {
  if (noCompiler) return;
  const all = kernels();

  it("include a scalar one, which runs everywhere", () => {
    assert.ok(all.some(({ title }) => title === "scalar"));
  });

  for (const { title, provider, isSlow } of all)
    describe(title, () => {
      it("passes the check that is made before its first use", () => checkSm4Provider(provider));

      it("gives OpenSSL's bytes for every length to 300, in counter mode and in GCM", () => {
        using key = expand(provider);
        for (let length = 0; length <= 300; length++) {
          compareCtr(key, bytesFrom(length, 16), bytesFrom(length + 1, length));
          compareGcm(key, bytesFrom(length, 12), bytesFrom(length, length % 40), bytesFrom(length + 2, length));
        }
      });

      it("gives OpenSSL's bytes for every length around the sizes of its batches", () => {
        using key = expand(provider);
        for (const size of [512, 640, 1024, 1280, 2048, 3072, 4096, 8192])
          for (const length of isSlow
            ? [size - 1, size + 17]
            : [size - 17, size - 16, size - 1, size, size + 1, size + 16]) {
            compareCtr(key, bytesFrom(length, 16), bytesFrom(length, length));
            compareGcm(key, bytesFrom(length, 12), bytesFrom(1, 20), bytesFrom(length, length));
          }
      });

      it("gives OpenSSL's bytes for every length of associated data to 70, and for long ones", () => {
        using key = expand(provider);
        for (const length of [...Array(71).keys(), 1023, 1024, 1025, 1040, 2048, 5000])
          compareGcm(key, bytesFrom(3, 12), bytesFrom(length, length), bytesFrom(4, 33));
      });

      it("carries the counter at every block of a batch, into every word, and around its end", () => {
        using key = expand(provider);
        for (let blocks = 0; blocks <= 130; blocks += isSlow ? 13 : 1) {
          const counter = Buffer.alloc(16, blocks % 3 === 0 ? 0xff : 0);
          counter.writeUInt32BE(0xffff_ffff - blocks, 12);
          if (blocks % 3 === 1) counter.fill(0xff, 8, 12);
          compareCtr(key, counter, bytesFrom(blocks, 2100));
        }
      });

      it("gives the same at every address", () => {
        using key = expand(provider);
        for (let shift = 0; shift < 33; shift += isSlow ? 11 : 1) {
          compareCtr(key, bytesFrom(shift, 16), bytesFrom(shift, 2500), shift);
          compareGcm(key, bytesFrom(shift, 12), bytesFrom(shift, 3), bytesFrom(shift, 2500), shift);
        }
      });

      it("refuses a message with any bit of it changed, and zeroes the plaintext", () => {
        using key = expand(provider);
        const nonce = bytesFrom(1, 12);
        const associatedData = bytesFrom(2, 5);
        for (const length of [0, 20, 1300]) {
          const { ciphertext, tag } = referenceSeal(key16, nonce, associatedData, bytesFrom(3, length));
          const opened = Buffer.alloc(length);
          const refuses = (parts: { nonce?: Buffer; associatedData?: Buffer; ciphertext?: Buffer; tag?: Buffer }) => {
            const message = { nonce, associatedData, ciphertext, tag, ...parts };
            opened.fill(0x77);
            const verdict = key.gcmOpen(message.nonce, message.associatedData, message.ciphertext, message.tag, opened);
            assert.equal(verdict, false);
            same(opened, Buffer.alloc(length));
          };
          for (let bit = 0; bit < 128; bit++) refuses({ tag: flip(tag, bit) });
          for (let bit = 0; bit < 96; bit++) refuses({ nonce: flip(nonce, bit) });
          for (let bit = 0; bit < 40; bit++) refuses({ associatedData: flip(associatedData, bit) });
          for (let bit = 0; bit < 8 * length; bit += isSlow ? 101 : 7) refuses({ ciphertext: flip(ciphertext, bit) });
          refuses({ associatedData: associatedData.subarray(1) });
          refuses({ associatedData: Buffer.concat([associatedData, Buffer.alloc(1)]) });
        }
      });

      it("zeroes what it decrypted in place when the tag does not match", () => {
        using key = expand(provider);
        const nonce = bytesFrom(1, 12);
        const { ciphertext, tag } = referenceSeal(key16, nonce, Buffer.alloc(0), bytesFrom(3, 5000));
        assert.equal(key.gcmOpen(nonce, Buffer.alloc(0), ciphertext, flip(tag, 99), ciphertext), false);
        assert.deepEqual(ciphertext, Buffer.alloc(5000));
      });

      it("gives OpenSSL's bytes for random keys, nonces, associated data and lengths", () => {
        const cases = isSlow ? scaled(10_000) : scaled(1_000_000 / all.length);
        const random = bytesFrom(seed ^ 0x5eed, 8192);
        for (let i = 0; i < cases; i++) {
          const pick = (most: number, salt: number) => Math.imul(i * 7 + salt + seed, 2_654_435_761) % most;
          const length = Math.abs(pick(i % 50 === 0 ? 5000 : 300, 1));
          const at = Math.abs(pick(3000, 2));
          const plaintext = random.subarray(at, at + length);
          const associatedData = random.subarray(at + 7, at + 7 + Math.abs(pick(60, 3)));
          const [keyBytes, nonce] = [bytesFrom(i, 16), bytesFrom(i + 1, 12)];
          using key = expand(provider, keyBytes);
          const expected = referenceSeal(keyBytes, nonce, associatedData, plaintext);
          const [sealed, tag] = [Buffer.alloc(length), Buffer.alloc(16)];
          key.gcmSeal(nonce, associatedData, plaintext, sealed, tag);
          const isSame = sealed.equals(expected.ciphertext) && tag.equals(expected.tag);
          assert.ok(isSame, `case ${i} of seed ${seed}: ${length} bytes, ${associatedData.length} associated`);
          assert.ok(
            key.gcmOpen(nonce, associatedData, sealed, tag, sealed) && sealed.equals(plaintext),
            `opening case ${i}`,
          );
        }
      });
    });
});

function same(actual: Buffer, expected: Buffer): void {
  // Much faster than deepEqual, which then tells where they differ.
  if (!actual.equals(expected)) assert.deepEqual(actual, expected);
}

function flip(bytes: Buffer, bit: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return changed;
}
