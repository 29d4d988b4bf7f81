import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { detectKeyFormat } from "../../../../src/node/key-formats/table.ts";
import {
  enclaveKeyOf,
  readTesseraKey,
  readTesseraPublicKey,
  tesseraKey,
  writeTesseraPublicKey,
} from "../../../../src/node/key-formats/tessera-key.ts";
import {
  generateTesseraKeyPair,
  openTesseraKey,
  relockTesseraKey,
  writeLockedTesseraKey,
  writeUnlockedTesseraKey,
} from "../../../../src/node/key-formats/tessera-lock.ts";
import { long } from "../../../run-settings.ts";
import { nodeKeyVectors } from "./vectors.ts";

const secret = (content: string) => SecretBuffer.copyOf(Buffer.from(content));
const base64 = (bytes: SecretBuffer) => bytes.expose((exposed) => exposed.toString("base64"));
const cheap = { variant: "id", memoryKiB: 64, passes: 1, parallelism: 2 } as const;
const [unlocked] = nodeKeyVectors.nacl;
assert.ok(unlocked);
/** The 1 GiB vector takes some seconds of every core. */
const boxes = nodeKeyVectors.argon2sbox.filter(({ json }) => long || json.data.aopts.memory < 65_536);

describe("Constellation and Tessera keys", () => {
  for (const { name, key_file: file, pub_file: pub } of nodeKeyVectors.nacl)
    it(`give the published public key of ${name}`, () => {
      const read = readTesseraKey(secret(file));
      assert.ok("secret" in read);
      const { publicKey, identity } = enclaveKeyOf(read.secret);
      assert.equal(writeTesseraPublicKey(publicKey).toString(), pub);
      assert.deepEqual(readTesseraPublicKey(Buffer.from(pub)), publicKey);
      const detected = detectKeyFormat(secret(file));
      assert.equal(detected.format, tesseraKey);
      assert.deepEqual(detected.identity, identity);
    });

  for (const { source, json, password, priv_b64: priv, pub_b64: pub } of boxes)
    it(`open the published locked key of ${source}`, async () => {
      const file = secret(JSON.stringify(json));
      const opened = await openTesseraKey(file, secret(password));
      assert.equal(base64(opened.secret), priv);
      assert.equal(opened.publicKey.toString("base64"), pub);
      assert.deepEqual(await tesseraKey.unlock?.(file, secret(password)), opened.identity);
      await assert.rejects(openTesseraKey(file, secret(`${password}!`)), { code: "PASSWORD_WRONG" });
    });

  it("may name Argon2's version, which must be 1.3", async () => {
    const [box] = boxes;
    assert.ok(box);
    for (const version of ["1.3", "13", 19]) {
      const { data } = box.json;
      const json = { ...box.json, data: { ...data, aopts: { ...data.aopts, version } } };
      const opened = await openTesseraKey(secret(JSON.stringify(json)), secret(box.password));
      assert.equal(base64(opened.secret), box.priv_b64);
    }
  });

  it("say nothing of the public key while they are locked", () => {
    const { format, identity } = detectKeyFormat(secret(JSON.stringify(nodeKeyVectors.argon2sbox[0]?.json)));
    assert.equal(format, tesseraKey);
    assert.equal(identity.algorithm, "locked");
    assert.match(identity.fingerprint ?? "", /^sha256:[0-9a-f]{64}$/);
  });

  it("are locked, locked again at another cost, and opened to the same key", async () => {
    const read = readTesseraKey(secret(unlocked.key_file));
    assert.ok("secret" in read);
    const locked = await writeLockedTesseraKey(read.secret, secret("one"), cheap);
    const again = await relockTesseraKey(locked, secret("one"), secret("two"), {
      ...cheap,
      memoryKiB: 128,
      variant: "i",
    });
    const parsed = readTesseraKey(again);
    assert.ok("lock" in parsed);
    assert.deepEqual(parsed.lock.cost, { variant: "i", memoryKiB: 128, passes: 1, parallelism: 2 });
    const opened = await openTesseraKey(again, secret("two"));
    assert.ok(opened.secret.equals(read.secret));
    await assert.rejects(openTesseraKey(again, secret("one")), { code: "PASSWORD_WRONG" });
    await assert.rejects(relockTesseraKey(locked, secret("no"), secret("two"), cheap), { code: "PASSWORD_WRONG" });
  });

  it("do not open with one byte of the box, nonce or salt changed", async () => {
    const { file } = await generateTesseraKeyPair({ password: secret("pw"), cost: cheap });
    const json = JSON.parse(file.expose((bytes) => bytes.toString()));
    for (const member of ["snonce", "asalt", "sbox"]) {
      const bytes = Buffer.from(json.data[member], "base64");
      for (let at = 0; at < bytes.length; at += 7) {
        const bad = Buffer.from(bytes);
        bad.writeUInt8(bad.readUInt8(at) ^ 1, at);
        const data = { ...json.data, [member]: bad.toString("base64") };
        await assert.rejects(openTesseraKey(secret(JSON.stringify({ ...json, data })), secret("pw")), {
          code: "PASSWORD_WRONG",
        });
      }
    }
  });

  it("are generated as a pair of files, Curve25519 or P-256, locked or not", async () => {
    for (const curve of ["x25519", "p256"] as const)
      for (const password of [undefined, secret("pw")]) {
        const pair = await generateTesseraKeyPair({ curve, cost: cheap, ...(password && { password }) });
        assert.deepEqual([pair.fileName, pair.publicFileName], ["tm.key", "tm.pub"]);
        const opened = await openTesseraKey(pair.file, secret("pw"));
        assert.deepEqual(opened.identity, pair.identity);
        assert.deepEqual(readTesseraPublicKey(pair.publicFile), opened.publicKey);
        assert.equal(pair.publicFile.includes(10), false);
        if (curve === "p256") createPublicKey({ key: opened.publicKey, format: "der", type: "spki" });
        if (password === undefined) {
          assert.ok(writeUnlockedTesseraKey(opened.secret).equals(pair.file));
          assert.deepEqual(detectKeyFormat(pair.file).identity, pair.identity);
        }
      }
  });

  it("hold EC keys as other programs write PKCS#8, with or without the public point", () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", {
      namedCurve: "P-256",
      privateKeyEncoding: { type: "pkcs8", format: "der" },
      publicKeyEncoding: { type: "spki", format: "der" },
    });
    assert.deepEqual(enclaveKeyOf(SecretBuffer.take(privateKey)).publicKey, publicKey);
  });

  it("are refused when malformed", () => {
    const key = "Wl+xSyXVuuqzpvznOS7dOobhcn4C5auxkFRi7yLtgtA=";
    const [box] = nodeKeyVectors.argon2sbox;
    const locked = JSON.stringify(box?.json);
    for (const bad of [
      "",
      "{}",
      "[]",
      `{"type":"unlocked"}`,
      `{"type":"unlocked","data":"${key}"}`,
      `{"type":"unlocked","data":{"bytes":"${key}"}`,
      `{"type":"unlocked","data":{"bytes":"${key}"}}}`,
      `{"type":"unlocked","data":{"bytes":"${key}"}} x`,
      `{"type":"unlocked","data":{"bytes":"${key}"},"type":"unlocked"}`,
      `{"type":"unlocked","data":{"bytes":"${key}","more":"x"}}`,
      `{"type":"unlocked","data":{"bytes":"${key}"},"more":1}`,
      `{"type":"unlocked","data":{"bytes":"${key.slice(1)}"}}`,
      `{"type":"unlocked","data":{"bytes":"${key.slice(4)}"}}`,
      `{"type":"unlocked","data":{"bytes":"\\u0057${key.slice(1)}"}}`,
      `{"type":"unlocked","data":{"bytes":""}}`,
      `{"type":"unlocked","data":{"bytes":5}}`,
      `{"type":"Unlocked","data":{"bytes":"${key}"}}`,
      `{'type':'unlocked','data':{'bytes':'${key}'}}`,
      locked.replace('"i"', '"x"'),
      locked.replace("8192", "7"),
      locked.replace("8192", "1048577"),
      locked.replace("8192", "1e3"),
      locked.replace("8192", "08192"),
      locked.replace('"iterations":2', '"iterations":0'),
      locked.replace('"iterations":2', '"iterations":9999999'),
      locked.replace('"parallelism":2', '"parallelism":65'),
      locked.replace('"parallelism":2', '"parallelism":2,"version":"10"'),
      locked.replace("LJ7Q", ""),
      locked.replace("iHJA", "iHJ*"),
      locked.replace(/"asalt":"[^"]*"/, '"asalt":""'),
    ])
      assert.throws(() => tesseraKey.readPublicIdentity(secret(bad)), { code: "KEY_FILE_INVALID" }, bad);
    for (const bad of ["", "AAAA", `${unlocked.pub_file}\n\n`, `${unlocked.pub_file} `, "*".repeat(44)])
      assert.throws(() => readTesseraPublicKey(Buffer.from(bad)), { code: "KEY_FILE_INVALID" });
  });

  it("are not locked at a cost that could not be opened again", async () => {
    for (const cost of [
      { ...cheap, memoryKiB: 2_000_000 },
      { ...cheap, passes: 0 },
      { ...cheap, memoryKiB: 15 },
    ])
      await assert.rejects(writeLockedTesseraKey(SecretBuffer.random(32), secret("pw"), cost), {
        code: "KEY_FILE_INVALID",
      });
  });
});
