import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gocryptfsStore } from "../../../src/volume/gocryptfs.ts";
import { levelStore, nativeStore } from "../../../src/volume/in-program.ts";
import { settleParameters } from "../../../src/volume/parameters.ts";

const invalid = { code: "VOLUME_PARAMETER_INVALID", exitCode: 2 };
const native = (given: Record<string, string>) => settleParameters(nativeStore, "intl", given);

describe("the parameters of a volume", () => {
  it("take the kind's defaults where none is given", () => {
    assert.deepEqual(settleParameters(gocryptfsStore, "intl", {}), { cipher: "aes-256-gcm" });
    assert.deepEqual(native({}), {
      channel: "fd",
      encoding: "raw",
      keyBytes: "32",
      prefix: "",
      variable: "",
      exposeKeyInProcessEnvironment: "no",
    });
  });

  it("have defaults that their own rules take", () => {
    for (const store of [gocryptfsStore, levelStore, nativeStore])
      for (const [name, rule] of Object.entries(store.parameters)) assert.match(rule.default, rule.pattern, name);
  });

  it("keep what is given", () => {
    assert.equal(native({ channel: "fifo", keyBytes: "64" }).keyBytes, "64");
    assert.equal(
      settleParameters(gocryptfsStore, "intl", { cipher: "xchacha20-poly1305" }).cipher,
      "xchacha20-poly1305",
    );
  });

  it("refuse a suite that the kind cannot encrypt with", () => {
    assert.throws(() => settleParameters(gocryptfsStore, "sm", {}), { ...invalid, message: /only intl/ });
  });

  it("refuse a name that the kind does not have, and say which it has", () => {
    assert.throws(() => settleParameters(levelStore, "sm", { cipher: "x" }), { ...invalid, message: /it has none/ });
    for (const name of ["Cipher", "", "toString", "__proto__x"])
      assert.throws(() => settleParameters(gocryptfsStore, "intl", { [name]: "aes-256-gcm" }), invalid, name);
  });

  for (const given of [
    { channel: "stdin" },
    { channel: "" },
    { channel: "fd\n" },
    { encoding: "hex " },
    { keyBytes: "15" },
    { keyBytes: "65" },
    { keyBytes: "032" },
    { keyBytes: "1e1" },
    { keyBytes: "-32" },
    { prefix: "0x" },
    { prefix: "a".repeat(17) },
    { variable: "lower" },
    { variable: "1KEY" },
    { variable: "A=B" },
    { variable: "A".repeat(65) },
    { exposeKeyInProcessEnvironment: "true" },
  ])
    it(`refuse ${JSON.stringify(given)}`, () => assert.throws(() => native(given), invalid));

  it("refuse a key in an environment variable unless that is agreed to, named and text", () => {
    const agreed = { channel: "environment", exposeKeyInProcessEnvironment: "yes", variable: "KEY", encoding: "hex" };
    assert.equal(native(agreed).variable, "KEY");
    assert.throws(() => native({ ...agreed, exposeKeyInProcessEnvironment: "no" }), invalid);
    assert.throws(() => native({ ...agreed, variable: "" }), { ...invalid, message: /variable=NAME/ });
    assert.throws(() => native({ ...agreed, encoding: "raw" }), { ...invalid, message: /encoding=hex/ });
  });
});
