import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { suites } from "../../../src/crypto/suite.ts";
import { parseHeader } from "../../../src/level/header.ts";
import type { EncryptedLevel } from "../../../src/level/index.ts";
import { EncryptedKeyNames } from "../../../src/level/key-names.ts";
import { dataKeyBytes, Keyring } from "../../../src/level/keyring.ts";
import { BatchSealer, openValue } from "../../../src/level/sealed-value.ts";
import { nodeCipherProvider } from "../../../src/level/value-cipher.ts";
import { scaled, seed } from "../../run-settings.ts";
import { dataKeyOf, memoryBase, openOver } from "../../unit/level/sealed-level.ts";

const asBytes = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;
const bytesOf = (maxLength: number) => fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes));
const suite = fc.constantFrom("intl", "sm");

function keyringOf(suiteName: "intl" | "sm"): Keyring {
  const keyring = new Keyring(suites[suiteName], Buffer.alloc(16, 1), nodeCipherProvider);
  using key = dataKeyOf(1);
  assert.equal(key.byteLength, dataKeyBytes);
  keyring.hold(1, key);
  keyring.makeCurrent(1);
  return keyring;
}

type Step =
  | { readonly kind: "put"; readonly key: Buffer; readonly value: Buffer }
  | { readonly kind: "del"; readonly key: Buffer }
  | { readonly kind: "batch"; readonly keys: readonly Buffer[]; readonly value: Buffer }
  | { readonly kind: "clear"; readonly limit: number }
  | { readonly kind: "rotate" }
  | { readonly kind: "reopen" };

// Few different names, so that steps meet the same ones.
const name = fc.oneof(bytesOf(2), fc.constantFrom("a", "b", "\u0000", "\u0001", "!s!a").map(Buffer.from));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("put" as const), key: name, value: bytesOf(40) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("del" as const), key: name }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("batch" as const),
      keys: fc.array(name, { maxLength: 8 }),
      value: bytesOf(9),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("clear" as const), limit: fc.constantFrom(-1, 0, 2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rotate" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
);

describe("an encrypted level", () => {
  for (const encryptKeyNames of [false, true])
    it(`behaves as a map, rotations and reopenings included, ${encryptKeyNames ? "encrypted" : "plain"} names`, async () => {
      await fc.assert(
        fc.asyncProperty(suite, fc.array(step, { maxLength: 40 }), async (suiteName, steps) => {
          const base = memoryBase();
          const model = new Map<string, Buffer>();
          let dataKey = 1;
          const open = () =>
            openOver(base, {
              dataKey: dataKeyOf(dataKey),
              previousDataKey: dataKeyOf(dataKey - 1),
              suite: suiteName,
              encryptKeyNames,
              resumeRotation: { batchEntries: 2, maxEntriesPerSecond: 1e9 },
            });
          let level = await open();
          for (const each of steps) {
            if (each.kind === "reopen") {
              await level.close();
              level = await open();
            } else if (each.kind === "rotate") {
              await level.rotation?.finished;
              dataKey += 1;
              await level.rotateDataKey(dataKeyOf(dataKey), { batchEntries: 2, maxEntriesPerSecond: 1e9 });
            } else await apply(level, model, each);
          }
          await compare(level, model, encryptKeyNames);
          await level.rotation?.finished;
          await compare(level, model, encryptKeyNames);
          await level.close();
        }),
        { seed, numRuns: scaled(1000) },
      );
    });
});

async function apply(level: EncryptedLevel, model: Map<string, Buffer>, each: Step): Promise<void> {
  if (each.kind === "put") {
    await level.put(each.key, each.value, asBytes);
    model.set(each.key.toString("hex"), each.value);
  } else if (each.kind === "del") {
    await level.del(each.key, { keyEncoding: "buffer" });
    model.delete(each.key.toString("hex"));
  } else if (each.kind === "batch") {
    await level.batch(
      each.keys.map((key, index) => (index % 3 === 2 ? { type: "del", key } : { type: "put", key, value: each.value })),
      asBytes,
    );
    for (const [index, key] of each.keys.entries())
      if (index % 3 === 2) model.delete(key.toString("hex"));
      else model.set(key.toString("hex"), each.value);
  } else if (each.kind === "clear") {
    await level.clear({ limit: each.limit });
    // Which entries go under a limit is the order's matter: take what is left, after checking how many.
    const left = (await level.iterator(asBytes).all()) as unknown as [Buffer, Buffer][];
    assert.equal(left.length, Math.max(0, model.size - (each.limit < 0 ? model.size : each.limit)));
    const keys = new Set(left.map(([key]) => key.toString("hex")));
    for (const key of [...model.keys()]) if (!keys.has(key)) model.delete(key);
  }
}

async function compare(level: EncryptedLevel, model: Map<string, Buffer>, anyOrder: boolean): Promise<void> {
  const entries = (await level.iterator(asBytes).all()) as unknown as [Buffer, Buffer][];
  const found = entries.map(([key, value]) => [key.toString("hex"), value.toString("hex")] as const);
  const expected = [...model].map(([key, value]) => [key, value.toString("hex")] as const);
  const byKey = (left: readonly [string, string], right: readonly [string, string]) =>
    left[0] < right[0] ? -1 : left[0] > right[0] ? 1 : 0;
  expected.sort(byKey);
  if (anyOrder) found.sort(byKey);
  assert.deepEqual(found, expected);
  for (const [key, value] of model)
    assert.deepEqual(await level.get<Buffer, Buffer>(Buffer.from(key, "hex"), asBytes), value);
}

describe("the level's parsers", () => {
  it("open a value only if it was sealed for that key", () => {
    fc.assert(
      fc.property(suite, bytesOf(60), bytesOf(200), bytesOf(200), (suiteName, key, plaintext, junk) => {
        const keyring = keyringOf(suiteName);
        const sealed = new BatchSealer(keyring, 1).seal(key, plaintext);
        assert.deepEqual(openValue(keyring, key, sealed), plaintext);
        for (const bad of [
          junk,
          Buffer.concat([sealed.subarray(0, junk.length), junk]),
          Buffer.concat([sealed, junk, key]),
        ])
          if (!bad.equals(sealed)) assert.throws(() => openValue(keyring, key, bad), { code: "LEVEL_CORRUPTION" });
      }),
      { seed, numRuns: scaled(4000) },
    );
  });

  it("give an encrypted name back, and refuse any other bytes", () => {
    fc.assert(
      fc.property(suite, bytesOf(100), bytesOf(60), (suiteName, plain, junk) => {
        const names = new EncryptedKeyNames(keyringOf(suiteName));
        const stored = names.store(plain);
        assert.deepEqual(names.name(stored), plain);
        assert.deepEqual(names.store(plain), stored);
        for (const bad of [junk, Buffer.concat([stored.subarray(0, 5), junk]), Buffer.concat([stored, Buffer.of(1)])])
          if (!bad.equals(stored)) assert.throws(() => names.name(bad), { code: "LEVEL_CORRUPTION" });
      }),
      { seed, numRuns: scaled(4000) },
    );
  });

  it("read a header or refuse it with LEVEL_CORRUPTION, whatever the bytes", () => {
    const prefix = Buffer.concat([Buffer.from("SRLV"), Buffer.of(1)]);
    fc.assert(
      fc.property(bytesOf(300), fc.boolean(), (junk, framed) => {
        try {
          parseHeader(framed ? Buffer.concat([prefix, junk]) : junk);
        } catch (error) {
          assert.equal((error as { code?: string }).code, "LEVEL_CORRUPTION");
        }
      }),
      { seed, numRuns: scaled(20_000) },
    );
  });
});
