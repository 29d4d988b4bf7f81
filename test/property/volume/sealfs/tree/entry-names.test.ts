import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EntryNames } from "../../../../../src/volume/sealfs/tree/entry-names.ts";
import { scaled, seed } from "../../../../run-settings.ts";
import { TestKeys } from "../../../../unit/volume/sealfs/tree/test-keys.ts";

const settings = { seed, numRuns: scaled(4000) };
const bytes = (most: number) =>
  fc.uint8Array({ minLength: 1, maxLength: most }).map((array) => Buffer.from(array).toString("latin1"));
const name = bytes(255).map((text) => text.replace(/[/\0]/g, "_"));
const id = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((array) => Buffer.from(array));
const type = fc.constantFrom(0o010000, 0o020000, 0o040000, 0o060000, 0o100000, 0o120000, 0o140000);
const sequence = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

for (const mode of ["plain", "encrypted"] as const) {
  const names = new EntryNames(new TestKeys(mode));

  test(`a bound name fits, says what it was made from, and holds for nothing else (${mode} names)`, () => {
    fc.assert(
      fc.property(name, id, id, id, type, sequence, type, (text, folder, zone, file, ofType, number, otherType) => {
        const parsed = {
          shown: names.shown(folder, text),
          fileId: file.toString("base64url"),
          sequence: number,
        };
        const backingName = names.entryName(folder, zone, ofType, parsed);
        assert.equal(Buffer.byteLength(backingName, "latin1") <= 255, true);
        assert.doesNotMatch(backingName, /[/\0]/);
        assert.deepEqual(names.parse(backingName), parsed);
        assert.equal(names.sidecarOf(backingName), undefined);
        assert.equal(names.verify(folder, zone, ofType, backingName), true);
        assert.equal(names.verify(zone, folder, ofType, backingName), folder.equals(zone));
        assert.equal(names.verify(folder, file, ofType, backingName), zone.equals(file));
        assert.equal(names.verify(folder, zone, otherType, backingName), otherType === ofType);
        if (!names.isHashed(parsed.shown)) assert.equal(names.name(folder, parsed.shown), text);
        else {
          const sealed = names.sealLongName(folder, parsed.shown, text);
          assert.equal(names.openLongName(folder, parsed.shown, sealed), text);
          assert.equal(names.openLongName(zone, parsed.shown, sealed), folder.equals(zone) ? text : undefined);
        }
      }),
      settings,
    );
  });

  test(`a bound name with one byte changed is not believed (${mode} names)`, () => {
    fc.assert(
      fc.property(name, id, fc.nat(), fc.integer({ min: 1, max: 255 }), (text, folder, place, change) => {
        const parsed = { shown: names.shown(folder, text), fileId: "A".repeat(22), sequence: 1n };
        const whole = Buffer.from(names.entryName(folder, folder, 0o100000, parsed), "latin1");
        const at = place % whole.length;
        whole[at] = (whole[at] ?? 0) ^ change;
        const altered = whole.toString("latin1");
        if (names.parse(altered) !== undefined) assert.equal(names.verify(folder, folder, 0o100000, altered), false);
      }),
      settings,
    );
  });

  test(`any bytes can be parsed, and none are believed (${mode} names)`, () => {
    const tail = fc.stringMatching(/^~[A-Za-z0-9_-]{55}$/);
    fc.assert(
      fc.property(
        fc.oneof(
          name,
          fc.tuple(name, tail).map(([head, end]) => head + end),
        ),
        id,
        (text, folder) => {
          if (names.parse(text) !== undefined) assert.equal(names.verify(folder, folder, 0o100000, text), false);
          names.sidecarOf(text);
          names.name(folder, text);
          assert.equal(names.openLongName(folder, text, Buffer.from(text, "latin1")), undefined);
        },
      ),
      settings,
    );
  });
}
