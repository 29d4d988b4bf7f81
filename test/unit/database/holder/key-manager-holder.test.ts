import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { sm2Encrypt } from "../../../../src/crypto/sm2-encryption.ts";
import { openNextKeyManagerHolder } from "../../../../src/database/holder/key-manager-holder.ts";
import { readMasterRecord } from "../../../../src/database/holder/master-record.ts";
import { openKeyHolder } from "../../../../src/database/holder/open-key-holder.ts";
import { instancePaths } from "../../../../src/database/instance/instance-folder.ts";
import { type RunningKeyManager, startKeyManager } from "../../server/running-key-manager.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-km-holder-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const subKey = Buffer.alloc(16, 0x5c);

describe("the key holder of a key manager's master key", () => {
  let keyManager: RunningKeyManager;
  let settings: { provider: "key-manager"; servers: readonly string[]; identityFolder: string; masterKey: string };
  const newInstance = () => mkdtempSync(join(folder, "instance-"));

  before(async () => {
    keyManager = await startKeyManager();
    const { keyId } = await keyManager.admin.keys.create({ usage: "encrypt", suite: "intl" });
    const { caPem, certificatePem, privateKeyPem } = await keyManager.enrolled("tsdb", keyId);
    const identityFolder = mkdtempSync(join(folder, "identity-"));
    writeFileSync(join(identityFolder, "ca.pem"), caPem);
    writeFileSync(join(identityFolder, "certificate.pem"), certificatePem);
    privateKeyPem.expose((pem) => writeFileSync(join(identityFolder, "key.pem"), pem, { mode: 0o600 }));
    settings = { provider: "key-manager", servers: [keyManager.url], identityFolder, masterKey: keyId };
  });
  after(() => keyManager[Symbol.asyncDispose]());

  it("is made at the first start, under a key of another suite, and is the same at the next", async () => {
    const dataFolder = newInstance();
    let envelope: Buffer = Buffer.alloc(0);
    let publicKey: Buffer = Buffer.alloc(0);
    {
      await using made = await openKeyHolder(settings, { dataFolder });
      ({ publicKey } = made);
      envelope = sm2Encrypt(publicKey, subKey, "asn1");
    }
    await using holder = await openKeyHolder(settings, { dataFolder });
    assert.equal(holder.publicKey.equals(publicKey), true);
    using opened = await holder.unwrap(envelope, publicKey);
    assert.equal(
      opened.expose((bytes) => bytes.equals(subKey)),
      true,
    );
    await assert.rejects(holder.unwrap(Buffer.alloc(100, 0x30), publicKey), { code: "ENVELOPE_REFUSED" });
  });

  it("is a second one while the master key is changed, and the same one after an interruption", async () => {
    const dataFolder = newInstance();
    await using current = await openKeyHolder(settings, { dataFolder });
    await using next = await openNextKeyManagerHolder(settings, dataFolder);
    await using again = await openNextKeyManagerHolder(settings, dataFolder);
    assert.equal(again.publicKey.equals(next.publicKey), true);
    assert.equal(next.publicKey.equals(current.publicKey), false);
    assert.deepEqual(
      readMasterRecord(dataFolder).map(({ publicKey }) => publicKey.toString("hex")),
      [current.publicKey, next.publicKey].map((key) => key.toString("hex")),
    );
  });

  it("refuses another wrapped key than the public half says", async () => {
    const [one, other] = [newInstance(), newInstance()];
    for (const dataFolder of [one, other]) await (await openKeyHolder(settings, { dataFolder }))[Symbol.asyncDispose]();
    const [file, otherFile] = [one, other].map((each) => instancePaths(each).masterRecordFile);
    const swapped = JSON.parse(readFileSync(file ?? "", "utf8"));
    swapped.keys[0].wrapped = JSON.parse(readFileSync(otherFile ?? "", "utf8")).keys[0].wrapped;
    writeFileSync(file ?? "", JSON.stringify(swapped));
    await assert.rejects(openKeyHolder(settings, { dataFolder: one }), { code: "MASTER_KEY_MISMATCH" });
  });

  it("makes no other key for an instance that has an envelope and has lost its master key", async () => {
    const dataFolder = newInstance();
    writeFileSync(instancePaths(dataFolder).envelopeFile, "an envelope");
    await assert.rejects(openKeyHolder(settings, { dataFolder }), { code: "MASTER_KEY_MISMATCH" });
    assert.deepEqual(readMasterRecord(dataFolder), []);
  });

  it("says that there is no identity", async () => {
    const elsewhere = { ...settings, identityFolder: newInstance() };
    await assert.rejects(openKeyHolder(elsewhere, { dataFolder: newInstance() }), { code: "SETTINGS_INVALID" });
  });

  it("is refused once the node is revoked", async () => {
    const dataFolder = newInstance();
    await (await openKeyHolder(settings, { dataFolder }))[Symbol.asyncDispose]();
    await keyManager.admin.nodes.revoke("tsdb");
    await assert.rejects(openKeyHolder(settings, { dataFolder }), { code: "REFUSED" });
  });
});
