import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { readCaFile, readKmsSecret } from "../../../../src/chain/build/kms-access.ts";
import { ChainFolder } from "./chain-folder.ts";

describe("the files of a chain's KMS", () => {
  it("are not waited for where a named pipe stands in their place", () => {
    using folder = new ChainFolder();
    const pipe = folder.at("pipe");
    execFileSync("mkfifo", ["-m", "600", pipe]);
    assert.equal(readCaFile(pipe), "");
    assert.throws(() => readKmsSecret(pipe), { code: "FILE_UNUSABLE" });
  });
});
