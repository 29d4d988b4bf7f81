import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { readStart, writeStart } from "../../../../src/enclave/ledger-enclave/settings.ts";

suite("the settings of a ledger enclave", () => {
  test("are read as they were written", () => {
    for (const tee of [
      { kind: "process", platform: "/p" },
      { kind: "tpm", platform: "/p", tcti: "device:/dev/tpmrm0" },
      { kind: "gramine", folder: "/dev/attestation" },
      { kind: "gramine" },
    ] as const)
      assert.deepEqual(readStart(writeStart({ tee, erccName: "ercc" })), { tee, erccName: "ercc" });
  });

  test("are refused when something is missing, unknown, twice over or of another type", () => {
    const tee = { kind: "process", platform: "/p" };
    for (const wrong of [
      {},
      { tee },
      { erccName: "ercc" },
      { tee, erccName: "" },
      { tee, erccName: 1 },
      { tee, erccName: "ercc", more: 1 },
      { tee: { ...tee, more: 1 }, erccName: "ercc" },
      { tee: { kind: "process" }, erccName: "ercc" },
      { tee: { kind: "process", platform: "" }, erccName: "ercc" },
      { tee: { kind: "tpm", platform: "/p" }, erccName: "ercc" },
      { tee: { kind: "sgx", platform: "/p" }, erccName: "ercc" },
      { tee: [], erccName: "ercc" },
      [],
      "text",
      null,
    ])
      assert.throws(() => readStart(Buffer.from(JSON.stringify(wrong))), { code: "SETTINGS_INVALID" });
    for (const bytes of ["", "no JSON", "{"])
      assert.throws(() => readStart(Buffer.from(bytes)), { code: "SETTINGS_INVALID" });
  });
});
