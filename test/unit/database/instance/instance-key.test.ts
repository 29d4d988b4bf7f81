import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { softOpener } from "../../../../src/database/gm/sub-key-envelope.ts";
import { holderOver } from "../../../../src/database/holder/opened-holder.ts";
import { instancePaths } from "../../../../src/database/instance/instance-folder.ts";
import {
  envelopInstanceKey,
  openInstanceEnvelope,
  readInstanceEnvelope,
  readInstanceKey,
  writeInstanceEnvelope,
  writeInstanceKey,
} from "../../../../src/database/instance/instance-key.ts";
import { findInstanceKey, keepInstanceKey, keyForNewInstance } from "../../../../src/database/instance/settle-key.ts";

const base = mkdtempSync(join(tmpdir(), "strongroom-instance-key-"));
after(() => rmSync(base, { recursive: true, force: true }));
let folders = 0;
let paths = instancePaths(base);
beforeEach(() => {
  folders += 1;
  paths = instancePaths(mkdtempSync(join(base, `${folders}-`)));
});

const master = generateKeyPair("sm2");
const holder = holderOver(await softOpener(master.scalar, master.publicKey));
const other = generateKeyPair("sm2");
const otherHolder = holderOver(await softOpener(other.scalar, other.publicKey));
const inFile = { in: "file", file: undefined } as const;
const underMaster = { in: "master" } as const;

describe("an instance key", () => {
  it("is read back from its file, which is its owner's alone", () => {
    using key = SecretBuffer.random(32);
    writeInstanceKey(paths.keyFile, key);
    assert.equal(statSync(paths.keyFile).mode & 0o777, 0o600);
    using read = readInstanceKey(paths.keyFile);
    assert.ok(read?.equals(key));
    assert.equal(readInstanceKey(join(paths.folder, "none")), undefined);
  });

  it("is refused from a file that is cut, longer, a link, or open to others", () => {
    for (const bytes of [0, 31, 33, 100]) {
      writeFileSync(paths.keyFile, Buffer.alloc(bytes), { mode: 0o600 });
      assert.throws(() => readInstanceKey(paths.keyFile), { code: "INSTANCE_DAMAGED" });
    }
    writeFileSync(paths.keyFile, Buffer.alloc(32));
    chmodSync(paths.keyFile, 0o640);
    assert.throws(() => readInstanceKey(paths.keyFile), { code: "SETTINGS_INVALID" });
    symlinkSync(paths.keyFile, paths.envelopeFile);
    assert.throws(() => readInstanceKey(paths.envelopeFile), { code: "INSTANCE_DAMAGED" });
  });

  it("comes out of its envelope with its master key only", async () => {
    using key = SecretBuffer.random(32);
    writeInstanceEnvelope(paths.envelopeFile, envelopInstanceKey(key, master.publicKey));
    const envelope = readInstanceEnvelope(paths.envelopeFile);
    assert.ok(envelope);
    using opened = await openInstanceEnvelope(envelope, holder);
    assert.ok(opened.equals(key));
    await assert.rejects(openInstanceEnvelope(envelope, otherHolder), { code: "MASTER_KEY_MISMATCH" });
    const claimed = { ...envelope, masterKey: other.publicKey.toString("hex") };
    await assert.rejects(openInstanceEnvelope(claimed, otherHolder), { code: "ENVELOPE_REFUSED" });
    await assert.rejects(openInstanceEnvelope(envelope, { publicKey: master.publicKey }), { code: "ENVELOPE_REFUSED" });
    using short = SecretBuffer.random(16);
    await assert.rejects(openInstanceEnvelope(envelopInstanceKey(short, master.publicKey), holder), {
      code: "ENVELOPE_REFUSED",
    });
  });

  it("is refused from an envelope file that is cut, foreign, or has more in it", () => {
    using key = SecretBuffer.random(32);
    writeInstanceEnvelope(paths.envelopeFile, envelopInstanceKey(key, master.publicKey));
    const text = readFileSync(paths.envelopeFile, "utf8");
    for (const wrong of ["", "{}", "null", "[]", text.slice(0, -5), text.replace("envelope-1", "envelope-2")]) {
      writeFileSync(paths.envelopeFile, wrong);
      assert.throws(() => readInstanceEnvelope(paths.envelopeFile), { code: "INSTANCE_DAMAGED" }, wrong);
    }
    writeFileSync(paths.envelopeFile, text.replace("{", '{"more":1,'));
    assert.throws(() => readInstanceEnvelope(paths.envelopeFile), { code: "INSTANCE_DAMAGED" });
  });
});

describe("where an instance key is kept", () => {
  it("is a file without a master key, and both with one", async () => {
    using key = await keyForNewInstance({ paths, metadataKey: inFile, holder: undefined });
    keepInstanceKey(key, { paths, metadataKey: inFile, holder: undefined });
    assert.equal(readInstanceEnvelope(paths.envelopeFile), undefined);
    keepInstanceKey(key, { paths, metadataKey: inFile, holder });
    using byFile = await findInstanceKey({ paths, metadataKey: inFile, holder: undefined });
    using byMaster = await findInstanceKey({ paths, metadataKey: underMaster, holder });
    assert.ok(byFile.equals(key) && byMaster.equals(key));
  });

  it("is the envelope alone where the settings say so, and the file goes", async () => {
    using key = await keyForNewInstance({ paths, metadataKey: inFile, holder });
    keepInstanceKey(key, { paths, metadataKey: inFile, holder });
    keepInstanceKey(key, { paths, metadataKey: underMaster, holder });
    assert.equal(readInstanceKey(paths.keyFile), undefined);
    using found = await findInstanceKey({ paths, metadataKey: underMaster, holder });
    assert.ok(found.equals(key));
    await assert.rejects(findInstanceKey({ paths, metadataKey: inFile, holder: undefined }), {
      code: "INSTANCE_KEY_ABSENT",
      exitCode: 3,
    });
  });

  it("is never another key's place: what an interrupted making left is used again", async () => {
    const sources = { paths, metadataKey: inFile, holder };
    using key = await keyForNewInstance(sources);
    keepInstanceKey(key, sources);
    using again = await keyForNewInstance(sources);
    assert.ok(again.equals(key));
    rmSync(paths.keyFile);
    using fromEnvelope = await keyForNewInstance(sources);
    assert.ok(fromEnvelope.equals(key));
  });

  it("is refused to another master key, even where the file has it", async () => {
    using key = await keyForNewInstance({ paths, metadataKey: inFile, holder });
    keepInstanceKey(key, { paths, metadataKey: inFile, holder });
    await assert.rejects(findInstanceKey({ paths, metadataKey: inFile, holder: otherHolder }), {
      code: "MASTER_KEY_MISMATCH",
    });
  });
});
