import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { EnclaveFolder } from "../../../../src/enclave/stub/enclave-folder.ts";

describe("the folder of an enclave at its host", () => {
  let base: string;
  let folder: string;
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), "strongroom-stub-"));
    folder = join(base, "enclave");
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  test("is made for its owner alone, and keeps files for its owner alone", async () => {
    using kept = await EnclaveFolder.open(folder);
    kept.write("blob", Buffer.from("sealed"));
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    for (const name of ["blob", "lock"]) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
    assert.deepEqual(kept.read("blob"), Buffer.from("sealed"));
    assert.equal(kept.read("credentials"), undefined);
  });

  test("is one stub's at a time", async () => {
    {
      using _ = await EnclaveFolder.open(folder);
      await assert.rejects(EnclaveFolder.open(folder), { code: "CONFLICT" });
    }
    using again = await EnclaveFolder.open(folder);
    assert.equal(again.path, folder);
  });

  test("has each file as it was, or as it is now, wherever the writing ends", async () => {
    let endAt = "";
    using kept = await EnclaveFolder.open(folder, (step) => {
      if (step === endAt) throw new Error("ended");
    });
    kept.write("blob", Buffer.from("before"));
    const seen: string[] = [];
    for (const step of ["blob written", "blob synced", "blob renamed", "blob stored"]) {
      endAt = step;
      assert.throws(() => kept.write("blob", Buffer.from("after!")), /ended/);
      seen.push(readFileSync(join(folder, "blob"), "utf8"));
    }
    assert.deepEqual(seen, ["before", "before", "after!", "after!"]);
  });

  test("refuses what is no file of an enclave in a file's place", async () => {
    using kept = await EnclaveFolder.open(folder);
    mkdirSync(join(folder, "blob"));
    assert.throws(() => kept.read("blob"), { code: "MALFORMED" });
    writeFileSync(join(folder, "credentials"), Buffer.alloc((1 << 20) + 1));
    assert.throws(() => kept.read("credentials"), { code: "MALFORMED" });
    symlinkSync("/dev/zero", join(folder, "trusted-ledger"));
    assert.throws(() => kept.read("trusted-ledger"), { code: "ELOOP" });
  });

  test("forgets a file for good", async () => {
    using kept = await EnclaveFolder.open(folder);
    kept.write("credentials", Buffer.from("public"));
    kept.remove("credentials");
    kept.remove("credentials");
    assert.equal(kept.read("credentials"), undefined);
  });
});
