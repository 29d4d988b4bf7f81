import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { identityLine } from "../../../../src/node/key-formats/format.ts";
import {
  checkKeystoreFileName,
  keystoreFileName,
  keystoreJson,
  parseKeystore,
} from "../../../../src/node/key-formats/keystore-json.ts";
import {
  changeKeystorePassword,
  generateKeystoreAccount,
  keystoreCosts,
  openKeystore,
  writeKeystore,
} from "../../../../src/node/key-formats/keystore-lock.ts";
import { detectKeyFormat } from "../../../../src/node/key-formats/table.ts";
import { nodeKeyVectors } from "./vectors.ts";

const secret = (content: string) => SecretBuffer.copyOf(Buffer.from(content));
const keyHex = (scalar: SecretBuffer) => scalar.expose((bytes) => bytes.toString("hex"));
const mismatch = "zero_address_mismatch";
const light = nodeKeyVectors.keystore.find((vector) => vector.name === "utc_light");
assert.ok(light);
/** The light vector with members of it replaced; a path such as `crypto.kdfparams.n`. */
function changed(changes: Readonly<Record<string, unknown>>): SecretBuffer {
  const json = structuredClone(light?.json) as Record<string, unknown>;
  for (const [path, value] of Object.entries(changes)) {
    const names = path.split(".");
    let table = json;
    for (const name of names.slice(0, -1)) table = table[name] as Record<string, unknown>;
    const last = names.at(-1) ?? "";
    if (value === undefined) delete table[last];
    else table[last] = value;
  }
  return secret(JSON.stringify(json));
}

describe("keystore files", () => {
  for (const { name, json, password, priv, address } of nodeKeyVectors.keystore.filter((it) => it.name !== mismatch))
    it(`open the published one named ${name}`, async () => {
      const file = secret(JSON.stringify(json));
      const opened = await openKeystore(file, secret(password));
      assert.equal(keyHex(opened.scalar), priv.padStart(64, "0"));
      assert.equal(opened.padded, priv.length < 64);
      if (address !== undefined) assert.equal(opened.identity.address, `0x${address}`);
    });

  it("are detected, and named by the address that they claim", () => {
    const { format, identity } = detectKeyFormat(changed({}));
    assert.equal(format, keystoreJson);
    assert.equal(identityLine(identity), "0x7ef5a6135f1fd6a02593eedc869c6d41d934aef8");
    const nameless = detectKeyFormat(changed({ address: undefined })).identity;
    assert.match(identityLine(nameless), /^sha256:[0-9a-f]{64}$/);
  });

  it("give node id and address once unlocked", async () => {
    const identity = await keystoreJson.unlock?.(changed({}), secret("foobar"));
    assert.equal(identity?.address, "0x7ef5a6135f1fd6a02593eedc869c6d41d934aef8");
    assert.match(identity?.nodeId ?? "", /^[0-9a-f]{128}$/);
  });

  it("are refused when the key is another address's", async () => {
    const vector = nodeKeyVectors.keystore.find((it) => it.name === mismatch);
    const file = secret(JSON.stringify(vector?.json));
    await assert.rejects(openKeystore(file, secret("foobar")), {
      code: "KEY_FILE_INVALID",
      message: /0xf466859ead1932d743d622cb74fc058882e8648a/,
    });
    await assert.rejects(openKeystore(changed({ address: "11".repeat(20) }), secret("foobar")), {
      code: "KEY_FILE_INVALID",
    });
  });

  it("do not open under another password, nor with a changed ciphertext, MAC, salt or cost", async () => {
    await assert.rejects(openKeystore(changed({}), secret("foobaz")), { code: "PASSWORD_WRONG" });
    for (const change of [
      { "crypto.ciphertext": "00".repeat(32) },
      { "crypto.ciphertext": "00".repeat(31) },
      { "crypto.mac": "00".repeat(32) },
      { "crypto.kdfparams.salt": "00" },
      { "crypto.kdfparams.n": 16 },
    ])
      await assert.rejects(openKeystore(changed(change), secret("foobar")), { code: "PASSWORD_WRONG" });
  });

  it("with a changed IV hold another key, which the address tells", async () => {
    const file = changed({ "crypto.cipherparams.iv": "00".repeat(16) });
    await assert.rejects(openKeystore(file, secret("foobar")), { code: "KEY_FILE_INVALID" });
  });

  it("are refused when malformed or too costly, before anything is derived", () => {
    for (const change of [
      { version: 2 },
      { version: "3" },
      { version: undefined },
      { id: undefined },
      { id: "a/b" },
      { address: "0x12" },
      { address: 5 },
      { crypto: [] },
      { crypto: null },
      { crypto: undefined },
      { Crypto: {} },
      { "crypto.cipher": "aes-256-ctr" },
      { "crypto.cipher": "aes-128-cbc" },
      { "crypto.ciphertext": "0" },
      { "crypto.ciphertext": "0x00" },
      { "crypto.ciphertext": "00".repeat(33) },
      { "crypto.ciphertext": "00".repeat(29) },
      { "crypto.ciphertext": 7 },
      { "crypto.cipherparams": undefined },
      { "crypto.cipherparams.iv": "00".repeat(15) },
      { "crypto.mac": "00".repeat(31) },
      { "crypto.kdf": "bcrypt" },
      { "crypto.kdf": "pbkdf2" },
      { "crypto.kdfparams.dklen": 16 },
      { "crypto.kdfparams.dklen": "32" },
      { "crypto.kdfparams.n": 3 },
      { "crypto.kdfparams.n": 1 },
      { "crypto.kdfparams.n": 0 },
      { "crypto.kdfparams.n": 2 ** 24 },
      { "crypto.kdfparams.n": 2 ** 40 },
      { "crypto.kdfparams.p": 2 ** 30 },
      { "crypto.kdfparams.r": 1.5 },
      { "crypto.kdfparams.r": -8 },
      { "crypto.kdfparams.salt": "" },
    ])
      assert.throws(() => changed(change).expose(parseKeystore), { code: "KEY_FILE_INVALID" }, JSON.stringify(change));
    const iterations = {
      "crypto.kdf": "pbkdf2",
      "crypto.kdfparams": { dklen: 32, prf: "hmac-sha256", c: 1e9, salt: "00" },
    };
    assert.throws(() => changed(iterations).expose(parseKeystore), { code: "KEY_FILE_INVALID" });
    for (const text of ["", "{", "[]", "null", "5", `{"version":3,"x":"${"y".repeat(20_000)}"}`, "\xff"])
      assert.throws(() => parseKeystore(Buffer.from(text, "latin1")), { code: "KEY_FILE_INVALID" });
  });

  it("may write Crypto in capitals, an address with 0x, and members of their own", async () => {
    const json = JSON.parse(changed({}).expose((bytes) => bytes.toString()));
    const { crypto, address, ...rest } = json;
    const file = secret(JSON.stringify({ ...rest, Crypto: crypto, address: `0x${address.toUpperCase()}`, "x-w": [1] }));
    const { scalar } = await openKeystore(file, secret("foobar"));
    assert.equal(keyHex(scalar), light.priv);
  });

  it("are written as geth writes them, and read back, with both costs of geth", async () => {
    const scalar = SecretBuffer.copyOf(Buffer.from(light.priv, "hex"));
    for (const cost of ["light", "standard"] as const) {
      const file = await writeKeystore(scalar, secret("pässword "), { cost });
      const json = JSON.parse(file.expose((bytes) => bytes.toString()));
      assert.deepEqual(Object.keys(json), ["address", "crypto", "id", "version"]);
      assert.equal(json.address, "7ef5a6135f1fd6a02593eedc869c6d41d934aef8");
      const { n, r, p } = keystoreCosts[cost];
      assert.deepEqual({ ...json.crypto.kdfparams, salt: 0 }, { dklen: 32, n, p, r, salt: 0 });
      const opened = await openKeystore(file, secret("pässword "));
      assert.ok(opened.scalar.equals(scalar));
    }
  });

  it("keep id and address when their password changes, and forget the old one", async () => {
    const file = await changeKeystorePassword(changed({}), secret("foobar"), secret("new"), "light");
    const before = changed({}).expose(parseKeystore);
    const { scalar, keystore } = await openKeystore(file, secret("new"));
    assert.equal(keyHex(scalar), light.priv);
    assert.equal(keystore.id, before.id);
    assert.equal(keystore.address, before.address);
    assert.notDeepEqual(keystore.salt, before.salt);
    await assert.rejects(openKeystore(file, secret("foobar")), { code: "PASSWORD_WRONG" });
    await assert.rejects(changeKeystorePassword(changed({}), secret("no"), secret("new"), "light"), {
      code: "PASSWORD_WRONG",
    });
  });

  it("are generated with the name that geth gives them", async () => {
    const at = new Date("2026-03-22T12:57:55.920Z");
    const account = await generateKeystoreAccount(secret("pw"), { cost: "light", at });
    assert.equal(account.fileName, `UTC--2026-03-22T12-57-55.920000000Z--${account.address.slice(2)}`);
    assert.equal(account.identity.address, account.address);
    assert.equal(detectKeyFormat(account.file).identity.address, account.address);
    const opened = await openKeystore(account.file, secret("pw"));
    assert.equal(opened.identity.nodeId, account.identity.nodeId);
  });

  it("are refused under the file name of another account; other names say nothing", () => {
    const address = `0x${"ab".repeat(20)}`;
    const name = keystoreFileName(address, new Date());
    checkKeystoreFileName(name, address);
    checkKeystoreFileName(name.toUpperCase().replace("UTC", "UTC"), address);
    checkKeystoreFileName("account.json", address);
    assert.throws(() => checkKeystoreFileName(name, `0x${"cd".repeat(20)}`), { code: "KEY_FILE_INVALID" });
  });
});
