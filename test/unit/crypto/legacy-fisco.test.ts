import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv, createHash } from "node:crypto";
import { describe, it } from "node:test";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { nodeIdOf } from "../../../src/crypto/curve.ts";
import { keccak256 } from "../../../src/crypto/keccak.ts";
import {
  type LegacyMode,
  legacyDecryptDataKey,
  legacyDecryptKeyFile,
  legacyEncrypt,
  legacyEncryptDataKey,
  legacyEncryptKeyFile,
  legacyKey,
} from "../../../src/crypto/legacy-fisco.ts";
import { legacyDecryptDatabaseValue, legacyEncryptDatabaseValue } from "../../../src/crypto/legacy-fisco-database.ts";
import { readPrivateKey } from "../../../src/crypto/pem.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { fromHex, loadVectors, withBitFlipped } from "./load-vectors.ts";

interface FiscoVectors {
  readonly cipherDataKeys: readonly {
    readonly id: string;
    readonly mode: LegacyMode;
    readonly superKey: string;
    readonly dataKey: string;
    readonly cipherDataKey: string;
    readonly decDataKeyResult: string;
    readonly cipherKeyHex: string;
    readonly nodeDataKeyHashHex: string;
  }[];
  readonly nodeKeyFiles: readonly {
    readonly id: string;
    readonly mode: LegacyMode;
    readonly dataKey: string;
    readonly plainPem?: string;
    readonly plainSha256: string;
    readonly encryptedFileText: string;
  }[];
  readonly databaseValues: readonly {
    readonly id: string;
    readonly mode: LegacyMode;
    readonly dataKey: string;
    readonly valueHex: string;
    readonly storedHex: string;
  }[];
  readonly wrongKeyAccepted: readonly WrongKey[];
  readonly wrongKeyRejected: readonly WrongKey[];
  readonly constantIv: { readonly libstdcxx: string; readonly libcxx: string };
}

interface WrongKey {
  readonly mode: LegacyMode;
  readonly serverSuperKey: string;
  readonly cipherDataKey: string;
  readonly result: { readonly dataKey: string };
}

const vectors = loadVectors<FiscoVectors>("fisco-legacy.json");
const modes = ["standard", "sm"] as const;
const formats = ["v2-raw", "v2-snappy", "v3", "v3.3"] as const;
const refused = { code: "LEGACY_REFUSED" };
const secret = (text: string) => SecretBuffer.take(Buffer.from(text));

describe("FISCO key manager: data keys", () => {
  it("give the published golden values", () => {
    const golden = (mode: LegacyMode, dataKey: string) => legacyEncryptDataKey(mode, secret("123xyz"), secret(dataKey));
    assert.equal(golden("standard", "123456"), "ed157f4588b86d61a2e1745efe71e6ea");
    assert.equal(golden("standard", "12345"), "ece243d9f346ea7b6b6970f934887b2b");
    assert.equal(golden("sm", "123456"), "b287d5c483e99ed63ebd361c22a8d7b2");
    assert.equal(golden("sm", "12345"), "600a482df9098bafdac45c11dd92e75b");
  });

  for (const vector of vectors.cipherDataKeys) {
    it(`${vector.id}: ${vector.mode}, both directions`, () => {
      using superKey = secret(vector.superKey);
      using dataKey = secret(vector.dataKey);
      assert.ok(legacyKey(vector.mode, superKey).equals(fromHex(vector.cipherKeyHex)));
      const nodeKey = fromHex(vector.nodeDataKeyHashHex).subarray(0, vector.mode === "sm" ? 16 : 32);
      assert.ok(legacyKey(vector.mode, dataKey).equals(nodeKey));
      assert.equal(legacyEncryptDataKey(vector.mode, superKey, dataKey), vector.cipherDataKey);
      const opened = legacyDecryptDataKey(vector.mode, superKey, vector.cipherDataKey);
      assert.ok(opened.equals(fromHex(vector.decDataKeyResult)));
      const upperCase = legacyDecryptDataKey(vector.mode, superKey, vector.cipherDataKey.toUpperCase());
      assert.ok(upperCase.equals(dataKey));
    });
  }

  it("hash with Keccak-256, not SHA3-256", () => {
    for (const text of ["", "123xyz", "x".repeat(135), "x".repeat(136), "x".repeat(1000)]) {
      assert.deepEqual(keccak256(Buffer.from(text)), Buffer.from(keccak_256(Buffer.from(text))));
      assert.notDeepEqual(keccak256(Buffer.from(text)), createHash("sha3-256").update(text).digest());
    }
  });

  it("keep the empty data key as a data key", () => {
    for (const mode of modes) {
      const cipherDataKey = legacyEncryptDataKey(mode, secret("123xyz"), secret(""));
      assert.equal(cipherDataKey.length, 32);
      assert.equal(legacyDecryptDataKey(mode, secret("123xyz"), cipherDataKey).byteLength, 0);
    }
  });

  it("are refused under a wrong super key whose padding is bad", () => {
    for (const { mode, serverSuperKey, cipherDataKey } of vectors.wrongKeyRejected)
      assert.throws(() => legacyDecryptDataKey(mode, secret(serverSuperKey), cipherDataKey), refused);
  });

  it("decrypt to noise under one wrong key in 256 in both modes, where the SM original lets one in 15 through", () => {
    for (const { mode, serverSuperKey, cipherDataKey, result } of vectors.wrongKeyAccepted) {
      if (mode === "sm") {
        assert.throws(() => legacyDecryptDataKey(mode, secret(serverSuperKey), cipherDataKey), refused);
        continue;
      }
      const noise = legacyDecryptDataKey(mode, secret(serverSuperKey), cipherDataKey);
      assert.ok(noise.equals(fromHex(result.dataKey)));
    }
  });

  it("are refused when empty, cut, lengthened, not hex, or with bad padding of any kind, in both modes", () => {
    for (const mode of modes) {
      using superKey = secret("123xyz");
      const open = (text: string) => () => legacyDecryptDataKey(mode, superKey, text);
      const good = legacyEncryptDataKey(mode, superKey, secret("123456"));
      for (let length = 0; length < good.length; length++) assert.throws(open(good.slice(0, length)), refused);
      for (const text of [`${good}00`, `0x${good}`, `${good}\n`, ` ${good}`, "zz".repeat(16), "ｆｆ".repeat(8)])
        assert.throws(open(text), refused, JSON.stringify(text));
      assert.throws(open("00".repeat(1 << 22)), refused);
      for (const [at, byte] of [
        [15, 0],
        [15, 17],
        [15, 255],
        [14, 9],
        [6, 9],
      ] as const) {
        const block = Buffer.concat([Buffer.from("123456"), Buffer.alloc(10, 10)]);
        block.writeUInt8(byte, at);
        assert.throws(open(encryptBlock(mode, block)), refused, `${mode} byte ${at} = ${byte}`);
      }
    }
  });
});

/** One block under super key 123xyz without padding. */
function encryptBlock(mode: LegacyMode, block: Buffer): string {
  return legacyKey(mode, secret("123xyz")).expose((key) => {
    const name = mode === "standard" ? "aes-256-cbc" : "sm4-cbc";
    return createCipheriv(name, key, key.subarray(0, 16)).setAutoPadding(false).update(block).toString("hex");
  });
}

describe("FISCO key manager: key files", () => {
  for (const vector of vectors.nodeKeyFiles) {
    it(`${vector.id}: ${vector.mode}, decrypts to the PEM and back to the same text`, () => {
      using dataKey = secret(vector.dataKey);
      using file = legacyDecryptKeyFile(vector.mode, dataKey, Buffer.from(vector.encryptedFileText));
      const digest = file.expose((bytes) => createHash("sha256").update(bytes).digest("hex"));
      assert.equal(digest, vector.plainSha256);
      if (vector.plainPem !== undefined) assert.ok(file.equals(Buffer.from(vector.plainPem)));
      assert.equal(legacyEncryptKeyFile(vector.mode, dataKey, file), vector.encryptedFileText);
      using key = file.expose(readPrivateKey).scalar;
      assert.equal(key.byteLength, 32);
      assert.equal(nodeIdOf(file.expose(readPrivateKey).publicKey).length, 128);
    });
  }

  it("are refused under another data key, in the other mode, when cut, and when any hex digit is not one", () => {
    for (const { mode, dataKey, encryptedFileText } of vectors.nodeKeyFiles) {
      const open = (key: string, inMode: LegacyMode, text: string) => () =>
        legacyDecryptKeyFile(inMode, secret(key), Buffer.from(text));
      assert.throws(open(`${dataKey}7`, mode, encryptedFileText), refused);
      assert.throws(open(dataKey, mode === "sm" ? "standard" : "sm", encryptedFileText), refused);
      assert.throws(open(dataKey, mode, `${encryptedFileText}\n`), refused);
      for (let length = 0; length < encryptedFileText.length; length += 13)
        assert.throws(open(dataKey, mode, encryptedFileText.slice(0, length)), refused);
      assert.throws(open(dataKey, mode, encryptedFileText.replace(/[a-f]/, "g")), refused);
    }
  });

  it("are refused when they decrypt but are not base64, and when they hold nothing", () => {
    for (const mode of modes) {
      using dataKey = secret("123456");
      const raw = legacyEncrypt(mode, dataKey, Buffer.from("-----BEGIN PRIVATE KEY-----")).toString("hex");
      assert.throws(() => legacyDecryptKeyFile(mode, dataKey, Buffer.from(raw)), refused);
      const empty = legacyEncrypt(mode, dataKey, Buffer.alloc(0)).toString("hex");
      assert.throws(() => legacyDecryptKeyFile(mode, dataKey, Buffer.from(empty)), { ...refused, message: /nothing/ });
      assert.throws(() => legacyEncryptKeyFile(mode, dataKey, secret("")), RangeError);
    }
    // What a defect of the original's script leaves in the place of a key under data key 123456.
    const destroyed = Buffer.from("0a54fa230caaadf5bdd864b270fa88f5");
    assert.throws(() => legacyDecryptKeyFile("standard", secret("123456"), destroyed), { message: /nothing/ });
  });
});

describe("FISCO database values", () => {
  for (const vector of vectors.databaseValues) {
    it(`${vector.id}: both directions`, () => {
      using dataKey = secret(vector.dataKey);
      const format = vector.id.startsWith("v2") ? "v2-raw" : "v3";
      const stored = fromHex(vector.storedHex);
      assert.deepEqual(legacyDecryptDatabaseValue(format, vector.mode, dataKey, stored), fromHex(vector.valueHex));
      assert.deepEqual(legacyEncryptDatabaseValue(format, vector.mode, dataKey, fromHex(vector.valueHex)), stored);
    });
  }

  it("of 3.3 and later carry their IV behind the ciphertext, the node's own constant ones too", () => {
    for (const mode of modes)
      for (const ivHex of [vectors.constantIv.libstdcxx, vectors.constantIv.libcxx]) {
        const value = Buffer.from("hello world");
        const stored = legacyKey(mode, secret("123456")).expose((key) => {
          const cipher = createCipheriv(mode === "standard" ? "aes-256-cbc" : "sm4-cbc", key, fromHex(ivHex));
          return Buffer.concat([cipher.update(value), cipher.final(), fromHex(ivHex)]);
        });
        assert.deepEqual(legacyDecryptDatabaseValue("v3.3", mode, secret("123456"), stored), value);
      }
  });

  it("of 3.3 are written under a fresh IV, so that equal values differ, and open by the stored IV", () => {
    for (const mode of modes) {
      const value = Buffer.from("hello world");
      const [first, second] = [1, 2].map(() => legacyEncryptDatabaseValue("v3.3", mode, secret("k"), value));
      assert.ok(first !== undefined && second !== undefined);
      assert.notDeepEqual(first, second);
      assert.deepEqual(legacyDecryptDatabaseValue("v3.3", mode, secret("k"), first), value);
      const key = legacyKey(mode, secret("k"));
      const name = mode === "standard" ? "aes-256-cbc" : "sm4-cbc";
      const decipher = key.expose((bytes) => createDecipheriv(name, bytes, first.subarray(-16)));
      assert.deepEqual(Buffer.concat([decipher.update(first.subarray(0, -16)), decipher.final()]), value);
    }
  });

  it("that are empty stay empty in v3 and are refused in v2", () => {
    for (const format of ["v3", "v3.3"] as const) {
      assert.equal(legacyEncryptDatabaseValue(format, "sm", secret("k"), Buffer.alloc(0)).length, 0);
      assert.equal(legacyDecryptDatabaseValue(format, "sm", secret("k"), Buffer.alloc(0)).length, 0);
    }
    for (const format of ["v2-raw", "v2-snappy"] as const) {
      const stored = legacyEncryptDatabaseValue(format, "sm", secret("k"), Buffer.alloc(0));
      assert.equal(stored.length, 16);
      assert.equal(legacyDecryptDatabaseValue(format, "sm", secret("k"), stored).length, 0);
      assert.throws(() => legacyDecryptDatabaseValue(format, "sm", secret("k"), Buffer.alloc(0)), refused);
    }
  });

  it("decompress streams with literals and both copy forms as the snappy format describes", () => {
    const streams: readonly (readonly [string, string])[] = [
      ["0b" + "08616263" + "1103", "abcabcabcab"],
      ["0b" + "08616263" + "1e0300", "abcabcabcab"],
      ["0b" + "08616263" + "1f03000000", "abcabcabcab"],
      [`46f045${"61".repeat(70)}`, "a".repeat(70)],
      [`46f44500${"61".repeat(70)}`, "a".repeat(70)],
    ];
    for (const [hex, text] of streams) {
      const stored = legacyEncrypt("sm", secret("k"), fromHex(hex));
      const value = legacyDecryptDatabaseValue("v2-snappy", "sm", secret("k"), stored);
      assert.equal(value.toString(), text, hex);
    }
  });

  it("with a compressed stream that is cut, too long, too short or impossible are refused, never filled with zeros", () => {
    const streams = {
      "nothing but a length": "0b",
      "fewer bytes than declared": "0c08616263" + "1103",
      "more bytes than declared": "0a08616263" + "1103",
      "a cut literal": "0b086162",
      "a cut copy": "0b08616263" + "11",
      "a cut long literal length": "46f0",
      "a copy from before the start": "0b08616263" + "1104",
      "a copy from distance zero": "0b08616263" + "1100",
      "a length over 64 MiB": "818080200061",
      "a length without end": "ffffffffffff",
      "no length": "",
    };
    for (const [name, hex] of Object.entries(streams)) {
      const stored = legacyEncrypt("sm", secret("k"), fromHex(hex));
      assert.throws(() => legacyDecryptDatabaseValue("v2-snappy", "sm", secret("k"), stored), refused, name);
    }
  });

  it("under another key, or cut, are refused as far as the padding shows it", () => {
    const value = Buffer.alloc(64, "v");
    for (const mode of modes)
      for (const format of formats) {
        const stored = legacyEncryptDatabaseValue(format, mode, secret("k"), value);
        const read = (key: string, bytes: Buffer) => legacyDecryptDatabaseValue(format, mode, secret(key), bytes);
        assert.throws(() => read("k", stored.subarray(0, -1)), refused);
        assert.throws(() => read("k", stored.subarray(0, 15)), refused);
        let noticed = 0;
        for (let i = 0; i < 64; i++) {
          try {
            assert.notDeepEqual(read(`other ${i}`, stored), value);
          } catch (error) {
            assert.equal((error as { code?: unknown }).code, "LEGACY_REFUSED");
            noticed += 1;
          }
        }
        assert.ok(noticed > 50, `${noticed} of 64 wrong keys noticed`);
      }
  });

  it("are not authenticated: a flipped bit of the second block changes the value without an error", () => {
    const value = Buffer.alloc(48, "v");
    const stored = legacyEncryptDatabaseValue("v3", "sm", secret("k"), value);
    const changed = legacyDecryptDatabaseValue("v3", "sm", secret("k"), withBitFlipped(stored, 8 * 16));
    assert.equal(changed.length, 48);
    assert.notDeepEqual(changed, value);
  });
});
