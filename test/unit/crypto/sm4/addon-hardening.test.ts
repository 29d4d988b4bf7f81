import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { sm4AddonPath } from "../../../../src/crypto/sm4/addon.ts";
import { noCompiler, productAddon } from "./addon-build.ts";

const headers = (): string => {
  productAddon();
  return spawnSync("readelf", ["-Wlds", sm4AddonPath], { encoding: "utf8" }).stdout;
};

describe("the compiled SM4 addon", { skip: noCompiler }, () => {
  it("has a stack that cannot be run, and nothing else that is both written and run", () => {
    const loaded = headers().match(/^ +(LOAD|GNU_STACK) .*$/gm) ?? [];
    assert.ok(loaded.some((line) => line.includes("GNU_STACK")));
    for (const line of loaded) assert.doesNotMatch(line, /RWE/);
  });

  it("is linked in full when it is loaded, into memory that is then only read", () => {
    assert.match(headers(), /GNU_RELRO/);
    assert.match(headers(), /\(FLAGS\).*BIND_NOW/);
  });

  it("ends the process when one of its functions writes beyond its frame", () => {
    assert.match(headers(), /__stack_chk_fail/);
  });
});
