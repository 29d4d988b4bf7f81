import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Sm4Key, Sm4Provider } from "../../../../src/crypto/sm4/provider.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { withBitFlipped } from "../../../unit/crypto/load-vectors.ts";
import { opensslCtr, opensslSeal } from "./openssl-oracle.ts";
import { expandKey, nameOf, providers } from "./providers.ts";
import { SeededBytes } from "./seeded-bytes.ts";

interface Case {
  readonly key: Buffer;
  readonly counter: Buffer;
  readonly nonce: Buffer;
  readonly associatedData: Buffer;
  readonly text: Buffer;
  /** Which bit of nonce ‖ associated data ‖ ciphertext ‖ tag is inverted for a forgery. */
  readonly forgedBit: number;
}

/** Mostly short, some past each size at which an implementation changes its way. */
function randomLength(random: SeededBytes): number {
  const kind = random.below(1000);
  if (kind < 700) return random.below(161);
  if (kind < 950) return random.below(1_300);
  if (kind < 996) return random.below(5_000);
  if (kind < 999) return 32_768 - 300 + random.below(600);
  return random.below(100_000);
}

function randomCase(random: SeededBytes): Case {
  const counter = random.bytes(16);
  // Often close below a carry, into as many bytes as chance gives.
  if (random.below(2) === 0) counter.fill(0xff, random.below(16));
  const associatedData = random.bytes(random.below(8) === 0 ? randomLength(random) : random.below(65));
  const text = random.bytes(randomLength(random));
  const forgedBit = random.below(8 * (12 + associatedData.length + text.length + 16));
  return { key: random.bytes(16), counter, nonce: random.bytes(12), associatedData, text, forgedBit };
}

/** Whether the sealed message opens after one of its bits has been inverted. */
function opensForged(key: Sm4Key, { nonce, associatedData, text, forgedBit }: Case, sealed: Buffer, tag: Buffer) {
  const forged = withBitFlipped(Buffer.concat([nonce, associatedData, sealed, tag]), forgedBit);
  const textAt = 12 + associatedData.length;
  const output = Buffer.alloc(text.length, 0xa5);
  const opened = key.gcmOpen(
    forged.subarray(0, 12),
    forged.subarray(12, textAt),
    forged.subarray(textAt, textAt + text.length),
    forged.subarray(textAt + text.length),
    output,
  );
  return { opened, output };
}

/** How many test files share the cases. */
const parts = 5;
/** How many implementations a case goes to, all of them in turn: all at once would take too long. */
const providersPerCase = 3;

/** A part of a million cases, each part with cases of its own: a test file of them all would run too long. */
export function differential(part: number): void {
  describe("each SM4 beside OpenSSL's", () => {
    const count = scaled(1_000_000 / parts);

    it(`agrees with it in ${count} random cases, and refuses a forgery of each`, () => {
      const random = new SeededBytes(seed, `sm4 differential ${part}`);
      for (let number = 0; number < count; number++) {
        const one = randomCase(random);
        const { key, counter, nonce, associatedData, text } = one;
        const expected = opensslSeal(key, nonce, associatedData, text);
        const expectedCtr = random.below(4) === 0 ? opensslCtr(key, counter, text) : undefined;
        for (let turn = 0; turn < Math.min(providersPerCase, providers.length); turn++) {
          const provider = providers[(number * providersPerCase + turn) % providers.length] as Sm4Provider;
          const where = () => `case ${number} of part ${part} of seed ${seed}, ${nameOf(provider)}`;
          using expanded = expandKey(provider, key);
          const [ciphertext, tag, back] = [Buffer.alloc(text.length), Buffer.alloc(16), Buffer.alloc(text.length)];
          expanded.gcmSeal(nonce, associatedData, text, ciphertext, tag);
          assert.ok(ciphertext.equals(expected.ciphertext), `another ciphertext in ${where()}`);
          assert.ok(tag.equals(expected.tag), `another tag in ${where()}`);
          assert.ok(expanded.gcmOpen(nonce, associatedData, ciphertext, tag, back), `does not open in ${where()}`);
          assert.ok(back.equals(text), `another plaintext in ${where()}`);
          const forgery = opensForged(expanded, one, ciphertext, tag);
          assert.ok(!forgery.opened, `a forgery opens in ${where()}`);
          assert.ok(forgery.output.equals(Buffer.alloc(text.length)), `a forgery leaves text in ${where()}`);
          if (expectedCtr === undefined) continue;
          expanded.ctr(counter, text, back);
          assert.ok(back.equals(expectedCtr), `another keystream in ${where()}`);
        }
      }
    });
  });
}
