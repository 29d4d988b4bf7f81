import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readTeeSettings } from "../../../../src/enclave/process/tee-settings.ts";

describe("the settings of an enclave's platform", () => {
  for (const settings of [
    { kind: "process", platform: "/var/lib/platform" },
    { kind: "tpm", platform: "/var/lib/platform", tcti: "device:/dev/tpmrm0" },
    { kind: "gramine" },
    { kind: "gramine", folder: "/dev/attestation" },
  ])
    test(`are read: ${JSON.stringify(settings)}`, () => {
      assert.deepEqual(readTeeSettings(Buffer.from(JSON.stringify(settings))), settings);
    });

  for (const text of [
    "",
    "process",
    "null",
    "[]",
    '{"kind":"sgx","platform":"/p"}',
    '{"kind":"constructor"}',
    '{"platform":"/p"}',
    '{"kind":"process"}',
    '{"kind":"process","platform":""}',
    '{"kind":"process","platform":7}',
    '{"kind":"process","platform":"/p","tcti":"x"}',
    '{"kind":"tpm","platform":"/p"}',
    '{"kind":"gramine","folder":null}',
    `{"kind":"process","platform":"/${"p".repeat(5000)}"}`,
  ])
    test(`are refused: ${text.slice(0, 60)}`, () => {
      assert.throws(() => readTeeSettings(Buffer.from(text)), { code: "SETTINGS_INVALID" });
    });
});
