import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { sm2Encrypt } from "../../../../src/crypto/sm2-encryption.ts";
import { sealContainer } from "../../../../src/database/gm/private-key-v2.ts";
import { softOpener } from "../../../../src/database/gm/sub-key-envelope.ts";
import { ChangeableKeyHolder } from "../../../../src/database/holder/changeable-holder.ts";
import { readMasterRecord, writeMasterRecord } from "../../../../src/database/holder/master-record.ts";
import { openKeyHolder } from "../../../../src/database/holder/open-key-holder.ts";
import { holderOver, type OpenedKeyHolder } from "../../../../src/database/holder/opened-holder.ts";
import { parseRotationRequest } from "../../../../src/database/holder/rotation-command.ts";
import {
  readRotationJournal,
  removeRotationJournal,
  writeRotationJournal,
} from "../../../../src/database/holder/rotation-journal.ts";
import { instancePaths } from "../../../../src/database/instance/instance-folder.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-holders-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const [oldKey, newKey, foreignKey] = [generateKeyPair("sm2"), generateKeyPair("sm2"), generateKeyPair("sm2")];
const subKey = Buffer.alloc(16, 0x5c);
const pincodeText = "a pincode of these tests";
const pincode = () => SecretBuffer.take(Buffer.from(pincodeText));
const privateKeyFile = join(folder, "master.key");
writeFileSync(
  privateKeyFile,
  await sealContainer({ ...oldKey, pincode: pincode() }, { cost: 16_384, blockSize: 8, parallelization: 1 }),
);

const envelopeTo = ({ publicKey }: typeof oldKey) => sm2Encrypt(publicKey, subKey, "asn1");
const holderOf = async ({ scalar, publicKey }: typeof oldKey) => holderOver(await softOpener(scalar, publicKey));

async function opens(holder: Pick<OpenedKeyHolder, "unwrap">, key: typeof oldKey): Promise<void> {
  using opened = await holder.unwrap(envelopeTo(key), key.publicKey);
  assert.equal(
    opened.expose((bytes) => bytes.equals(subKey)),
    true,
  );
}

describe("the key holder of a gm-soft master key", () => {
  const settings = { provider: "gm-soft", publicKey: oldKey.publicKey, privateKeyFile, pincode: undefined } as const;

  it("opens envelopes to the master key", async () => {
    using secret = pincode();
    await using holder = await openKeyHolder(settings, { pincode: secret, dataFolder: folder });
    assert.equal(holder.publicKey.equals(oldKey.publicKey), true);
    await opens(holder, oldKey);
  });

  it("refuses envelopes to another key, and whatever is none", async () => {
    using secret = pincode();
    await using holder = await openKeyHolder(settings, { pincode: secret, dataFolder: folder });
    for (const envelope of [envelopeTo(newKey), Buffer.alloc(0), Buffer.alloc(100, 0x30), Buffer.alloc(4096)])
      await assert.rejects(holder.unwrap(envelope, oldKey.publicKey), { code: "ENVELOPE_REFUSED" });
  });

  it("refuses a wrong pincode, another public key, and no pincode", async () => {
    using wrong = SecretBuffer.take(Buffer.from("another pincode"));
    using secret = pincode();
    await assert.rejects(openKeyHolder(settings, { pincode: wrong, dataFolder: folder }), {
      code: "PRIVATE_KEY_REFUSED",
    });
    const other = { ...settings, publicKey: newKey.publicKey };
    await assert.rejects(openKeyHolder(other, { pincode: secret, dataFolder: folder }), {
      code: "PRIVATE_KEY_REFUSED",
    });
    await assert.rejects(openKeyHolder(settings, { dataFolder: folder }), { code: "PINCODE_INVALID" });
  });

  it("says that the private key's file is not there", async () => {
    using secret = pincode();
    const missing = { ...settings, privateKeyFile: join(folder, "none") };
    await assert.rejects(openKeyHolder(missing, { pincode: secret, dataFolder: folder }), {
      code: "SETTINGS_INVALID",
      message: /ENOENT/,
    });
  });
});

describe("the key holder of a running instance", () => {
  it("opens envelopes to both keys while the master key is changed, and to the one in force before and after", async () => {
    await using holder = new ChangeableKeyHolder(await holderOf(oldKey));
    await opens(holder, oldKey);
    await assert.rejects(opens(holder, newKey), { code: "MASTER_KEY_MISMATCH" });
    await holder.expect(await holderOf(newKey));
    await opens(holder, oldKey);
    await opens(holder, newKey);
    await assert.rejects(opens(holder, foreignKey), { code: "MASTER_KEY_MISMATCH" });
    assert.equal(holder.publicKey.equals(oldKey.publicKey), true);
    await holder.settle("changed");
    assert.equal(holder.publicKey.equals(newKey.publicKey), true);
    await opens(holder, newKey);
    await assert.rejects(opens(holder, oldKey), { code: "MASTER_KEY_MISMATCH" });
  });

  it("stays with the key in force when a change is given up", async () => {
    await using holder = new ChangeableKeyHolder(await holderOf(oldKey));
    await holder.expect(await holderOf(newKey));
    await holder.settle("kept");
    await opens(holder, oldKey);
    await assert.rejects(opens(holder, newKey), { code: "MASTER_KEY_MISMATCH" });
    await holder.settle("changed");
    await opens(holder, oldKey);
  });
});

describe("the files of a change of the master key", () => {
  const paths = instancePaths(folder);
  const [from, to] = [oldKey.publicKey, newKey.publicKey];

  it("read back as they were written", () => {
    assert.equal(readRotationJournal(paths), undefined);
    const settings = { file: "/etc/strongroom.toml", privateKeyFile: "/etc/new.key", pincodeFile: undefined };
    for (const journal of [
      { from, to, settings },
      { from, to, settings: undefined },
    ]) {
      writeRotationJournal(paths, journal);
      assert.deepEqual(readRotationJournal(paths), journal);
    }
    removeRotationJournal(paths);
    assert.equal(readRotationJournal(paths), undefined);
    const key = { publicKey: from, wrapped: Buffer.from("wrapped"), context: { node: "tsdb" } };
    writeMasterRecord(folder, [key, { ...key, publicKey: to }]);
    assert.deepEqual(readMasterRecord(folder), [key, { ...key, publicKey: to }]);
  });

  it("are refused cut, altered, or of another form", () => {
    writeRotationJournal(paths, { from, to, settings: undefined });
    writeMasterRecord(folder, [{ publicKey: from, wrapped: Buffer.from("wrapped"), context: { node: "tsdb" } }]);
    for (const text of ["", "{", "null", "[]", "{}", '{"format":"strongroom-rotation/1"}', "\0".repeat(100_000)]) {
      writeFileSync(paths.rotationFile, text);
      assert.throws(() => readRotationJournal(paths), { code: "INSTANCE_DAMAGED" }, text.slice(0, 40));
      writeFileSync(paths.masterRecordFile, text);
      assert.throws(() => readMasterRecord(folder), { code: "INSTANCE_DAMAGED" }, text.slice(0, 40));
    }
    const hex = from.toString("hex");
    for (const settings of [7, {}, { file: "relative" }, { file: "/a", privateKeyFile: 1, pincodeFile: null }]) {
      const text = JSON.stringify({ format: "strongroom-rotation/1", from: hex, to: hex, settings });
      writeFileSync(paths.rotationFile, text);
      assert.throws(() => readRotationJournal(paths), { code: "INSTANCE_DAMAGED" }, text);
    }
    removeRotationJournal(paths);
  });
});

describe("a request to change the master key", () => {
  it("is refused with what it does not know, with relative paths, and without form", () => {
    for (const request of [
      null,
      [],
      "text",
      { other: "x" },
      { publicKey: 7 },
      { publicKey: "" },
      { privateKeyFile: "relative" },
      { updateConfig: "/a\0b" },
      { pincodeFile: `/${"x".repeat(5000)}` },
    ])
      assert.throws(() => parseRotationRequest(request), { code: "SETTINGS_INVALID" }, JSON.stringify(request));
  });
});
