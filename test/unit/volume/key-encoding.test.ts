import assert from "node:assert/strict";
import { hkdfSync } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { base64Bytes, hexBytes } from "../../../src/volume/key-encoding.ts";
import { deriveVolumeKey } from "../../../src/volume/sub-key.ts";
import { scaled, seed } from "../../run-settings.ts";

const settings = { seed, numRuns: scaled(4000) };

describe("a key's encoding", () => {
  it("in hex equals Node's, between a prefix and a suffix", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.string(), fc.string(), (bytes, before, after) => {
        const text = hexBytes(bytes, Buffer.from(before), Buffer.from(after)).toString();
        assert.equal(text, Buffer.from(`${before}${Buffer.from(bytes).toString("hex")}${after}`).toString());
      }),
      settings,
    );
  });

  it("in base64 equals Node's at every length", () => {
    for (let length = 0; length < 70; length++) {
      const bytes = Buffer.alloc(length, 0xfb);
      assert.equal(base64Bytes(bytes).toString(), bytes.toString("base64"));
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        assert.equal(base64Bytes(bytes).toString(), Buffer.from(bytes).toString("base64"));
      }),
      settings,
    );
  });
});

describe("a sub-key of a data key", () => {
  const dataKey = SecretBuffer.copyOf(Buffer.alloc(32, 3));
  const volume = { kind: "fscrypt", volumeId: "00112233-4455-4677-8899-aabbccddeeff", suite: "intl" } as const;
  const bytesOf = (key: SecretBuffer) => key.expose((bytes) => bytes.toString("hex"));

  it("is HKDF of the suite's hash with the volume id as salt and the label of kind and purpose", () => {
    const salt = Buffer.from("00112233445546778899aabbccddeeff", "hex");
    for (const [suite, hash] of [
      ["intl", "sha256"],
      ["sm", "sm3"],
    ] as const)
      for (const [purpose, length] of [
        ["kernel-key", 64],
        ["header", 32],
      ] as const) {
        const info = `strongroom/volume/v1/fscrypt/${purpose}`;
        const expected = Buffer.from(hkdfSync(hash, Buffer.alloc(32, 3), salt, info, length)).toString("hex");
        using key = deriveVolumeKey({ ...volume, suite }, dataKey, purpose, length);
        assert.equal(bytesOf(key), expected);
      }
  });

  it("is another one for another volume, kind, purpose, suite or data key", () => {
    using otherDataKey = SecretBuffer.copyOf(Buffer.alloc(32, 4));
    const keys = [
      deriveVolumeKey(volume, dataKey, "header", 32),
      deriveVolumeKey(volume, dataKey, "kernel-key", 32),
      deriveVolumeKey(volume, otherDataKey, "header", 32),
      deriveVolumeKey({ ...volume, kind: "native" }, dataKey, "header", 32),
      deriveVolumeKey({ ...volume, suite: "sm" }, dataKey, "header", 32),
      deriveVolumeKey({ ...volume, volumeId: "10112233-4455-4677-8899-aabbccddeeff" }, dataKey, "header", 32),
    ];
    assert.equal(new Set(keys.map(bytesOf)).size, keys.length);
    assert.ok(!keys.map(bytesOf).includes(bytesOf(dataKey)));
  });

  it("is refused from a data key that is too short or too long", () => {
    for (const length of [1, 15, 65]) {
      using wrong = SecretBuffer.random(length);
      assert.throws(() => deriveVolumeKey(volume, wrong, "header", 32), RangeError);
    }
  });
});
