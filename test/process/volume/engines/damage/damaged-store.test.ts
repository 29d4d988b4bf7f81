import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { scaled, seed } from "../../../../run-settings.ts";
import { randomMoments } from "../random-moments.ts";
import { damagesOf } from "./damages.ts";
import { StoreOnDisk } from "./store-on-disk.ts";

const namesOtherKey = /names a key that is not there/;
const isError = (content: string): boolean => /^E[A-Z]+$/.test(content);
/** Of which every bit counts, wherever it lies; a slot may be free, and a head have room left. */
const alwaysNoticed = ["name", "link", "attribute"];
/** So many bits of one kind of thing cannot all lie where nothing is in use. */
const enoughTries = 40;

for (const suite of ["intl", "sm"] as const)
  for (const integrity of ["tree", "blocks"] as const)
    describe(`a closed store of the suite ${suite}, with integrity ${integrity}`, () => {
      it("is refused or answers EIO where one bit of it was changed, and is never read wrong", async () => {
        using store = new StoreOnDisk(suite, integrity);
        await store.fill();
        const whole = await store.read(store.copy());
        assert.equal(whole.refused, undefined);
        assert.deepEqual([...whole.contents.values()].filter(isError), []);
        assert.ok(whole.contents.size > 10);

        const noticed = new Map<string, { readonly tried: number; readonly noticed: number }>();
        for (const { kind, inflict } of damagesOf(store.path, randomMoments(), scaled(20))) {
          const copy = store.copy();
          inflict(copy);
          const { refused, contents, told } = await store.read(copy);
          const errors = [...contents].filter(([, content]) => isError(content));
          const where = `${kind}, seed ${seed}: ${refused ?? ""} ${told.join("; ")} ${JSON.stringify(errors)}`;
          for (const [path, content] of contents) {
            assert.ok(whole.contents.has(path), `${path} was not there; ${where}`);
            if (!isError(content)) assert.equal(content, whole.contents.get(path), `${path}; ${where}`);
            // Who changes the number of its key in a head is told the truth: there is none of that number.
            else if (content !== "ENOKEY") assert.equal(content, "EIO", `${path}; ${where}`);
            else
              assert.ok(kind.startsWith("head") && told.some((line) => namesOtherKey.test(line)), `${path}; ${where}`);
          }
          const missing = [...whole.contents.keys()].filter((path) => !contents.has(path));
          // A name that is none of the file system's any more is told of, and its file is gone.
          const isNoticed = refused !== undefined || errors.length > 0 || told.length > 0;
          assert.ok(missing.length === 0 || isNoticed, `${missing} missing without an error; ${where}`);
          assert.ok(isNoticed || !alwaysNoticed.includes(kind), `not noticed; ${where}`);
          const counts = noticed.get(kind) ?? { tried: 0, noticed: 0 };
          noticed.set(kind, { tried: counts.tried + 1, noticed: counts.noticed + (isNoticed ? 1 : 0) });
        }
        for (const [kind, counts] of noticed)
          assert.ok(counts.noticed > 0 || counts.tried < enoughTries, `no damage of the kind ${kind} was noticed`);
      });
    });
