import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type SuiteName, suites } from "../../../src/crypto/suite.ts";
import { checkHeaderTag, parseHeader } from "../../../src/level/header.ts";
import { SecretBuffer } from "../../../src/level/index.ts";
import { EncryptedKeyNames, plainKeyNames } from "../../../src/level/key-names.ts";
import { checkValue, Keyring } from "../../../src/level/keyring.ts";
import { matchDataKeys, sealHeader } from "../../../src/level/open-store.ts";
import { openValue } from "../../../src/level/sealed-value.ts";
import { nodeCipherProvider } from "../../../src/level/value-cipher.ts";

interface Case {
  readonly name: string;
  readonly source: string;
  readonly suite: SuiteName;
  readonly generation: number;
  readonly [bytes: string]: string | number;
}
const file = join(import.meta.dirname, "../../vectors/level.json");
const { cases }: { cases: readonly Case[] } = JSON.parse(readFileSync(file, "utf8"));

for (const each of cases)
  describe(`the stored bytes of a level, ${each.name}`, () => {
    const bytes = (field: string) => Buffer.from(String(each[field]), "hex");
    const dataKey = SecretBuffer.copyOf(bytes("dataKey"));
    const keyring = new Keyring(suites[each.suite], bytes("storeId"), nodeCipherProvider);
    keyring.hold(each.generation, dataKey);
    keyring.makeCurrent(each.generation);
    const names = new EncryptedKeyNames(keyring);

    it("has the documented stored keys", () => {
      assert.deepEqual(plainKeyNames.store(bytes("keyName")), bytes("plainStoredKey"));
      assert.deepEqual(names.store(bytes("keyName")), bytes("encryptedStoredKey"));
      assert.deepEqual(names.name(bytes("encryptedStoredKey")), bytes("keyName"));
    });

    it("opens the documented values", () => {
      for (const kind of ["Plain", "Encrypted"]) {
        const storedKey = bytes(`${kind.toLowerCase()}StoredKey`);
        assert.deepEqual(openValue(keyring, storedKey, bytes(`valueUnder${kind}Key`)), bytes("plaintext"));
      }
      assert.throws(() => openValue(keyring, bytes("plainStoredKey"), bytes("valueUnderEncryptedKey")), {
        code: "LEVEL_CORRUPTION",
      });
    });

    it("has the documented check value and header record", () => {
      const expected = bytes("checkValue");
      assert.deepEqual(checkValue(suites[each.suite], dataKey, bytes("storeId"), each.generation), expected);
      const parsed = parseHeader(bytes("headerRecord"));
      assert.deepEqual(matchDataKeys(parsed, [dataKey]), [dataKey]);
      assert.equal(parsed.header.encryptKeyNames, true);
      assert.deepEqual(sealHeader(parsed.header, keyring), bytes("headerRecord"));
      using wrong = SecretBuffer.random(32);
      assert.throws(() => checkHeaderTag(parsed, 0, wrong), { code: "LEVEL_CORRUPTION" });
      assert.throws(() => matchDataKeys(parsed, [wrong]), { code: "LEVEL_WRONG_KEY" });
    });
  });
