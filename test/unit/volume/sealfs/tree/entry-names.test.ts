import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EntryNames } from "../../../../../src/volume/sealfs/tree/entry-names.ts";
import { TestKeys } from "./test-keys.ts";

const [here, there, zone] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2), Buffer.alloc(16, 3)];
const regular = 0o100000;
const fileId = "A".repeat(22);

for (const kind of ["encrypted", "plain"] as const)
  describe(`backing names of a volume with ${kind} names`, () => {
    const names = () => new EntryNames(new TestKeys(kind));

    it("shows a name the same way each time, whatever was asked for in between", () => {
      const asked = names();
      const wanted = ["a", "b", "a".repeat(255), "=", "a"];
      const first = wanted.map((name) => names().shown(here, name));
      for (let turn = 0; turn < 2; turn++)
        assert.deepEqual(
          wanted.map((name) => asked.shown(here, name)),
          first,
        );
      for (const [at, name] of wanted.entries()) {
        asked.shown(there, name);
        assert.equal(asked.shown(here, name), first[at]);
      }
    });

    it("knows an entry by its folder, zone, type and every character, and by nothing else", () => {
      const asked = names();
      const shown = asked.shown(here, "name");
      const entry = asked.entryName(here, zone, regular, { shown, fileId, sequence: 5n });
      assert.ok(asked.verify(here, zone, regular, entry));
      assert.ok(!asked.verify(there, zone, regular, entry));
      assert.ok(!asked.verify(here, here, regular, entry));
      assert.ok(!asked.verify(here, zone, 0o040000, entry));
      for (let at = 0; at < entry.length; at++) {
        const other = `${entry.slice(0, at)}${entry[at] === "B" ? "C" : "B"}${entry.slice(at + 1)}`;
        assert.ok(!asked.verify(here, zone, regular, other), `character ${at}`);
      }
      assert.ok(asked.verify(here, zone, regular, entry));
    });

    it("binds no name longer than a backing folder takes", () => {
      const shown = "a".repeat(600);
      assert.throws(() => names().entryName(here, zone, regular, { shown, fileId, sequence: 1n }), RangeError);
    });
  });

it("an encrypted name is shown otherwise in another folder, and read in its own only", () => {
  const names = new EntryNames(new TestKeys("encrypted"));
  const [shown, other] = [names.shown(here, "name"), names.shown(there, "name")];
  assert.notEqual(shown, other);
  assert.equal(names.name(here, shown), "name");
  assert.equal(names.name(there, shown), undefined);
  assert.equal(names.shown(there, "name"), other);
});
