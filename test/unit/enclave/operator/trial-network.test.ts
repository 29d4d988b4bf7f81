import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { EnclaveError } from "../../../../src/enclave/errors.ts";
import { makeEmptyFolder } from "../../../../src/enclave/operator/trial-folder.ts";
import { TrialNetwork } from "../../../../src/enclave/operator/trial-network.ts";

const folder = mkdtempSync(join(tmpdir(), "trial-network-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const create = (change: Partial<Parameters<typeof TrialNetwork.create>[0]>) =>
  TrialNetwork.create({ folder: join(folder, "new"), organisations: 3, chaincodeId: "auction", ...change });

/** Settings are refused, with what is the matter and what to do. */
function invalid(says: RegExp, hint?: RegExp) {
  return (error: EnclaveError) => {
    assert.equal(error.code, "SETTINGS_INVALID", error.message);
    assert.match(error.message, says);
    if (hint !== undefined) assert.match(error.hint ?? "", hint);
    return true;
  };
}

describe("a new trial network", () => {
  it("is refused with no organisations, too many, or a part of one, before anything is made", async () => {
    for (const organisations of [0, -1, 17, 1.5, Number.NaN, 1e9])
      await assert.rejects(create({ organisations }), invalid(/from 1 to 16 organisations, not /));
    assert.equal(existsSync(join(folder, "new")), false);
  });

  it("is refused in what is no folder, below what is none, and where none can be made", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "mine");
    for (const place of [file, join(file, "below"), join(file, "far", "below")])
      await assert.rejects(create({ folder: place }), invalid(/it is no folder, or in none/, /--folder/));
    for (const place of ["/proc/strongroom", "/proc/strongroom/network"])
      await assert.rejects(create({ folder: place }), invalid(/no network can be made in \/proc/, /--folder/));
  });

  it("is refused in a folder that holds something, and says what, and changes nothing", async () => {
    mkdirSync(join(folder, "begun", "ledger"), { recursive: true });
    for (const name of ["other/notes", "finished/network.json"]) {
      mkdirSync(join(folder, name, ".."));
      writeFileSync(join(folder, name), "mine");
    }
    const names = () => readdirSync(folder, { recursive: true }).sort();
    const before = names();
    for (const [name, hint] of [
      ["other", /^name another folder/],
      ["finished", /holds a network already.*fpc status --folder .*finished/],
      ["begun", /was not finished.*remove it/],
    ] as const)
      await assert.rejects(
        create({ folder: join(folder, name) }),
        invalid(/is not empty, so no network is made there/, hint),
      );
    assert.deepEqual(names(), before);
  });

  it("has a folder of its owner's alone, with those above it made", () => {
    const place = join(folder, "a", "b", "c");
    makeEmptyFolder(place);
    makeEmptyFolder(place);
    assert.equal(statSync(place).mode & 0o777, 0o700);
  });
});
