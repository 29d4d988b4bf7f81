import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readTeeSettings } from "../../../../src/enclave/process/tee-settings.ts";

const keyManager = { servers: ["https://km.example:8443"], identity: "/etc/host", masterKey: "alias/enclaves" };
const under = (change: object) =>
  JSON.stringify({ kind: "process", platform: "/p", keyManager: { ...keyManager, ...change } });

describe("the settings of an enclave's platform", () => {
  for (const settings of [
    { kind: "process", platform: "/var/lib/platform" },
    { kind: "tpm", platform: "/var/lib/platform", tcti: "device:/dev/tpmrm0" },
    { kind: "gramine" },
    { kind: "gramine", folder: "/dev/attestation" },
    { kind: "process", platform: "/p", keyManager },
    { kind: "gramine", keyManager: { ...keyManager, servers: ["https://a:1", "https://b:2"] } },
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
    `{"kind":"process","platform":"/${"p".repeat(17_000)}"}`,
    '{"kind":"process","platform":"/p","keyManager":"https://km.example:8443"}',
    '{"kind":"process","platform":"/p","keyManager":null}',
    '{"kind":"process","platform":"/p","keyManager":[]}',
    under({ servers: [] }),
    under({ servers: "https://km.example:8443" }),
    under({ servers: ["http://km.example:8443"] }),
    under({ servers: ["https://km.example:8443/v1"] }),
    under({ servers: Array.from({ length: 17 }, () => "https://km.example:8443") }),
    under({ identity: "etc/host" }),
    under({ identity: undefined }),
    under({ masterKey: "" }),
    under({ masterKey: `alias/${"a".repeat(512)}` }),
    under({ masterKey: "alias/a\nb" }),
    under({ pin: "1234" }),
  ])
    test(`are refused: ${text.slice(0, 60)}`, () => {
      assert.throws(() => readTeeSettings(Buffer.from(text)), { code: "SETTINGS_INVALID" });
    });
});
