import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { releaseDataKey } from "../../../src/node/data-key.ts";
import { makeDataKey } from "../../../src/node/make-data-key.ts";
import { loadManifest } from "../../../src/node/manifest-reader.ts";
import { dataKeySteps, replaceDataKey } from "../../../src/node/replace-data-key.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { verifyVolumeHeader } from "../../../src/volume/header.ts";
import { FakeKeyManager, NodeFolder } from "../../unit/node/fake-key-manager.ts";

const skip = existsSync("/dev/fuse") ? false : "this machine has no /dev/fuse";

/** A node with a locked sealfs volume. */
async function nodeWithVolume(folder: NodeFolder, keyManager: FakeKeyManager, suite: "intl" | "sm" = "intl") {
  const manifest = folder.manifest("generic", { volumeKind: "sealfs" });
  const { loaded, dataKey } = await makeDataKey(manifest, keyManager);
  await (await volumeDriver("sealfs")).create({ folder: folder.at("volume") }, dataKey, { suite });
  return { loaded, dataKey };
}

describe("replacing the data key of a node with a sealfs volume", { skip }, () => {
  it("puts the volume under the new key, and removes the old one", async () => {
    using folder = new NodeFolder();
    const keyManager = new FakeKeyManager();
    const { loaded, dataKey: old } = await nodeWithVolume(folder, keyManager);
    using made = (await replaceDataKey(loaded, keyManager)).dataKey;
    const again = loadManifest(folder.path);
    assert.equal(again.manifest.dataKey.version, 2);
    using released = await releaseDataKey(again, keyManager);
    assert.ok(released.equals(made) && !released.equals(old));
    const header = readFileSync(folder.at("volume/volume.header"));
    verifyVolumeHeader(header, released);
    assert.throws(() => verifyVolumeHeader(header, old), { code: "VOLUME_WRONG_KEY" });
    assert.deepEqual(
      readdirSync(folder.path).filter((name) => name.endsWith(".box")),
      ["data-key.v2.box"],
    );
    const driver = await volumeDriver("sealfs");
    assert.equal((await driver.check({ folder: folder.at("volume") }, released)).sound, true);
    (await replaceDataKey(again, keyManager)).dataKey[Symbol.dispose]();
    assert.equal(loadManifest(folder.path).manifest.dataKey.wrapped, "data-key.v3.box");
  });

  for (const step of dataKeySteps)
    it(`goes on when it was killed after "${step}"`, async () => {
      using folder = new NodeFolder();
      const keyManager = new FakeKeyManager();
      const { loaded } = await nodeWithVolume(folder, keyManager);
      const killed = replaceDataKey(loaded, keyManager, (done) => {
        if (done === step) throw new Error("killed");
      });
      await assert.rejects(killed, /killed/);
      const { dataKey } = await replaceDataKey(loadManifest(folder.path), keyManager);
      using released = await releaseDataKey(loadManifest(folder.path), keyManager);
      assert.ok(released.equals(dataKey));
      dataKey[Symbol.dispose]();
      verifyVolumeHeader(readFileSync(folder.at("volume/volume.header")), released);
      assert.equal(readdirSync(folder.path).filter((name) => name.endsWith(".box")).length, 1);
    });

  it("changes nothing when the key manager refuses, or the volume is another's", async () => {
    using folder = new NodeFolder();
    const keyManager = new FakeKeyManager();
    const { loaded } = await nodeWithVolume(folder, keyManager);
    const header = readFileSync(folder.at("volume/volume.header"));
    keyManager.mood = "refuse";
    await assert.rejects(replaceDataKey(loaded, keyManager), { code: "REFUSED" });
    assert.deepEqual(readFileSync(folder.at("volume/volume.header")), header);
    assert.equal(loadManifest(folder.path).manifest.dataKey.version, 1);
  });

  it("refuses a volume that is open, or gone, before it asks for any key", async () => {
    using folder = new NodeFolder();
    const keyManager = new FakeKeyManager();
    const { loaded, dataKey } = await nodeWithVolume(folder, keyManager);
    const place = { folder: folder.at("volume") };
    const files = readdirSync(folder.path);
    const { asked } = keyManager;
    const opened = await (await volumeDriver("sealfs")).open(place, dataKey);
    try {
      await assert.rejects(replaceDataKey(loaded, keyManager), { code: "VOLUME_ALREADY_OPEN" });
    } finally {
      await opened.close();
    }
    rmSync(join(place.folder, "volume.header"));
    await assert.rejects(replaceDataKey(loaded, keyManager), { code: "VOLUME_ABSENT" });
    assert.equal(keyManager.asked, asked);
    assert.deepEqual(readdirSync(folder.path), files);
  });

  it("is refused where something else lies under the data key", async () => {
    using folder = new NodeFolder();
    const keyManager = new FakeKeyManager({ master: SecretBuffer.random(32) });
    const fisco = folder.manifest("fisco", { volumeKind: "sealfs" });
    await assert.rejects(replaceDataKey(fisco, keyManager), { code: "INPUT_INVALID" });
    const other = folder.manifest("generic", { volumeKind: "gocryptfs" });
    await assert.rejects(replaceDataKey(other, keyManager), { code: "INPUT_INVALID" });
    assert.equal(keyManager.asked, 0);
  });
});
