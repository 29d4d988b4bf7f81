import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { makeDataKey } from "../../../src/node/make-data-key.ts";
import { loadManifest } from "../../../src/node/manifest-reader.ts";
import { replaceKey, replaceSteps } from "../../../src/node/replace.ts";
import { sealFile } from "../../../src/node/seal.ts";
import { openKeyFile } from "../../../src/node/sealed-key.ts";
import { FakeKeyManager, NodeFolder } from "./fake-key-manager.ts";

const oldKey = `${"0".repeat(62)}2a\n`;
const newKey = `${"0".repeat(62)}2b\n`;

async function sealed(folder: NodeFolder) {
  const { loaded, dataKey } = await makeDataKey(folder.manifest("geth"), new FakeKeyManager());
  return { dataKey, ...sealFile(loaded, dataKey, folder.write("nodekey", oldKey)) };
}

function plaintextOf(folder: NodeFolder, dataKey: SecretBuffer): string {
  const loaded = loadManifest(folder.path);
  const [entry] = loaded.manifest.sealedFiles;
  assert.ok(entry);
  using plaintext = openKeyFile(loaded, entry, dataKey).plaintext;
  return plaintext.expose((bytes) => bytes.toString());
}

describe("replacing a sealed key", () => {
  it("raises its version, and leaves neither the old sealed file nor the plain new one", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey } = await sealed(folder);
    const { entry } = replaceKey(loaded, dataKey, "nodekey", folder.write("new", newKey));
    assert.equal(entry.version, 2);
    assert.equal(plaintextOf(folder, dataKey), newKey);
    for (const gone of ["new", "sealed/nodekey.sealed"]) assert.equal(existsSync(folder.at(gone)), false);
  });

  it("refuses the version before in the place of the new one, naming both public identities", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey, entry: first } = await sealed(folder);
    const old = readFileSync(folder.at("sealed/nodekey.sealed"));
    const outcome = replaceKey(loaded, dataKey, "nodekey", folder.write("new", newKey));
    writeFileSync(outcome.loaded.at(outcome.entry.sealed), old);
    assert.throws(
      () => openKeyFile(outcome.loaded, outcome.entry, dataKey),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "IDENTITY_MISMATCH");
        for (const part of [first.publicIdentity, outcome.entry.publicIdentity, "version 1", "version 2"])
          assert.ok(error.message.includes(part), part);
        return true;
      },
    );
  });

  it("refuses an earlier version of the very same key", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey, entry } = await sealed(folder);
    assert.throws(() => openKeyFile(loaded, { ...entry, version: 2 }, dataKey), { code: "IDENTITY_MISMATCH" });
  });

  for (const step of replaceSteps)
    it(`is finished by the same call after it was ended behind "${step}"`, async () => {
      using folder = new NodeFolder();
      const { loaded, dataKey } = await sealed(folder);
      const file = folder.write("new", newKey);
      assert.throws(() =>
        replaceKey(loaded, dataKey, "nodekey", file, (reached) => {
          if (reached === step) throw new Error("ended");
        }),
      );
      if (step !== "removed") replaceKey(loadManifest(folder.path), dataKey, "nodekey", file);
      assert.equal(plaintextOf(folder, dataKey), newKey);
      assert.equal(loadManifest(folder.path).manifest.sealedFiles[0]?.version, 2);
      for (const gone of ["new", "new.strongroom-wipe", "sealed/nodekey.sealed"])
        assert.equal(existsSync(folder.at(gone)), false, gone);
    });

  it("refuses a name that is not there, another format, and what is the program's own", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey } = await sealed(folder);
    const file = folder.write("new", newKey);
    assert.throws(() => replaceKey(loaded, dataKey, "other", file), { code: "INPUT_INVALID" });
    assert.throws(() => replaceKey(loaded, dataKey, "nodekey", folder.write("bad", "not a key")), {
      code: "KEY_FILE_INVALID",
    });
    assert.throws(() => replaceKey(loaded, SecretBuffer.random(32), "nodekey", file), { code: "SEALED_FILE_DAMAGED" });
    assert.equal(readFileSync(file, "utf8"), newKey);
    assert.equal(plaintextOf(folder, dataKey), oldKey);
  });
});
