import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../../src/volume/drivers.ts";
import { VolumeError } from "../../../../src/volume/errors.ts";
import { encodePieceStart, encodeRecord } from "../../../../src/volume/transfer/entry-record.ts";
import { ExportWriter } from "../../../../src/volume/transfer/export-stream.ts";
import { exportVolume } from "../../../../src/volume/transfer/export-volume.ts";
import { importVolume } from "../../../../src/volume/transfer/import-volume.ts";
import { scaled, seed } from "../../../run-settings.ts";

const entry = {
  mode: 0o100600,
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  accessedNs: 0n,
  modifiedNs: 0n,
};
const outside = join(tmpdir(), `strongroom-outside-${process.pid}`);
const named = (name: string, mode: number) => ({ ...entry, name, mode, attributes: [] });

/** Records of an export, encoded: the store of an empty volume, with what a test puts into it. */
const beginning = [
  encodeRecord({ kind: "folder", entry: named("", 0o040700) }),
  encodeRecord({ kind: "file", entry: named("keys", 0o100600), size: 3 }),
  encodePieceStart(0, 3),
  Buffer.from("abc"),
  encodePieceStart(0, 0),
  encodeRecord({ kind: "folder", entry: named("tree", 0o040700) }),
];

const names = fc.oneof(
  fc.constantFrom(
    "..",
    ".",
    "",
    "/",
    "a",
    "b",
    "a/b",
    "../../outside",
    outside,
    "nul\0",
    "x".repeat(255),
    "x".repeat(256),
  ),
  fc.string({ maxLength: 12 }),
);
const modes = fc.oneof(
  fc.constantFrom(0o100644, 0o040755, 0o120777, 0o010600, 0o104755, 0o042770, 0o140600, 0),
  fc.nat(0xffff_ffff),
);
const entries = fc.record({
  name: names,
  mode: modes,
  uid: fc.constant(entry.uid),
  gid: fc.constant(entry.gid),
  accessedNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  modifiedNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  attributes: fc.array(
    fc
      .tuple(fc.constantFrom("user.a", "security.capability", "trusted.x", "user."), fc.uint8Array({ maxLength: 9 }))
      .map(([key, value]) => [key, Buffer.from(value)] as const),
    { maxLength: 2 },
  ),
});
const sizes = fc.oneof(fc.nat(64), fc.constantFrom(0, 2 ** 40, 2 ** 52, Number.MAX_SAFE_INTEGER));
const pieces = fc
  .tuple(sizes, fc.oneof(fc.nat(40), fc.constantFrom(0, 262_144, 262_145, 0xffff_ffff)))
  .map(([at, length]) => Buffer.concat([encodePieceStart(at, length), Buffer.alloc(Math.min(length, 64), 7)]));
/** No device files: a tester who is root can make them. */
const records = fc.oneof(
  entries.map((one) => encodeRecord({ kind: "folder", entry: one })),
  fc
    .tuple(entries, sizes, fc.array(pieces, { maxLength: 2 }))
    .map(([one, size, parts]) =>
      Buffer.concat([encodeRecord({ kind: "file", entry: one, size }), ...parts, encodePieceStart(0, 0)]),
    ),
  fc.tuple(entries, names).map(([one, target]) => encodeRecord({ kind: "symlink", entry: one, target })),
  fc.tuple(names, fc.array(names, { maxLength: 3 })).map(([name, to]) => encodeRecord({ kind: "link", name, to })),
  fc.constant(encodeRecord({ kind: "leave" })),
  fc
    .tuple(fc.nat(9), fc.nat(99))
    .map(([count, bytes]) => encodeRecord({ kind: "end", entries: count, contentBytes: bytes })),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);

describe("the import of streams that someone with the key made up", () => {
  it("refuses them, or makes a volume of them in its place, and touches nothing else", async () => {
    const work = mkdtempSync(join(tmpdir(), "strongroom-hostile-"));
    using dataKey = SecretBuffer.random(32);
    const source = join(work, "source");
    const folder = join(work, "deep/er/volume");
    await (await volumeDriver("sealfs")).create({ folder: source }, dataKey);
    const header = readFileSync(join(source, "volume.header"));
    let made = 0;
    let refused = 0;
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(records, { maxLength: 8 }), fc.boolean(), async (middle, isWhole) => {
          const plain = [...beginning, ...middle];
          const count = 3 + middle.filter((bytes) => bytes.length > 0 && (bytes[0] ?? 9) <= 5).length;
          if (isWhole) {
            const leave = encodeRecord({ kind: "leave" });
            plain.push(leave, leave, encodeRecord({ kind: "end", entries: count, contentBytes: 3 }));
          }
          const sealed: Buffer[] = [];
          using writer = await ExportWriter.begin(header, dataKey, async (bytes) => void sealed.push(bytes));
          for (const bytes of plain) await writer.write(bytes);
          await writer.finish();
          try {
            await importVolume({ folder }, dataKey, from(sealed));
            made += 1;
            assert.ok(existsSync(join(folder, "volume.header")));
          } catch (error) {
            assert.ok(error instanceof VolumeError, String(error));
            refused += 1;
            assert.deepEqual(readdirSync(folder), ["volume.lock"]);
          }
          assert.deepEqual(readdirSync(work).sort(), ["deep", "source"]);
          assert.deepEqual(readdirSync(join(work, "deep")), ["er"]);
          assert.deepEqual(readdirSync(join(work, "deep/er")), ["volume"]);
          assert.equal(existsSync(outside), false);
          rmSync(folder, { recursive: true });
        }),
        { seed, numRuns: scaled(4000), examples: [[[], true]] },
      );
      assert.ok(made > 0 && refused > 0, `${made} made, ${refused} refused`);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });

  it("refuses an export with any bytes changed, cut out, put in or exchanged", async () => {
    const work = mkdtempSync(join(tmpdir(), "strongroom-altered-"));
    using dataKey = SecretBuffer.random(32);
    const source = join(work, "source");
    const folder = join(work, "volume");
    await (await volumeDriver("sealfs")).create({ folder: source }, dataKey);
    const whole: Buffer[] = [];
    await exportVolume({ folder: source }, dataKey, async (bytes) => void whole.push(Buffer.from(bytes)));
    const exported = Buffer.concat(whole);
    const change = fc.tuple(fc.nat(exported.length), fc.nat(40), fc.uint8Array({ maxLength: 20 }));
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
          let bad: Buffer = exported;
          for (const [at, length, bytes] of changes)
            bad = Buffer.concat([bad.subarray(0, at), bytes, bad.subarray(at + length)]);
          fc.pre(!bad.equals(exported));
          await assert.rejects(importVolume({ folder }, dataKey, from([bad])), {
            name: "VolumeError",
            code: /^VOLUME_(EXPORT_DAMAGED|HEADER_INVALID|WRONG_KEY)$/,
          });
          assert.equal(existsSync(join(folder, "store")), false);
          assert.equal(existsSync(join(folder, "volume.header")), false);
        }),
        { seed, numRuns: scaled(4000) },
      );
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
});

async function* from(pieces: readonly Buffer[]): AsyncIterable<Buffer> {
  yield* pieces;
}
