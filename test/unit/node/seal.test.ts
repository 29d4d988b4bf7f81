import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { legacyDecryptKeyFile } from "../../../src/crypto/legacy-fisco.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { suites } from "../../../src/crypto/suite.ts";
import { fiscoDataKey, releaseDataKey } from "../../../src/node/data-key.ts";
import { makeDataKey } from "../../../src/node/make-data-key.ts";
import type { NodeKind } from "../../../src/node/manifest.ts";
import { sealFile } from "../../../src/node/seal.ts";
import { openKeyFile } from "../../../src/node/sealed-key.ts";
import { sealedEntry, unsealInPlace, unsealTo } from "../../../src/node/unseal.ts";
import { FakeKeyManager, NodeFolder } from "./fake-key-manager.ts";

const nodekey = `${"0".repeat(62)}2a\n`;
const nodePem: string = JSON.parse(readFileSync(join(import.meta.dirname, "../../vectors/fisco-legacy.json"), "utf8"))
  .nodeKeyFiles[0].plainPem;

async function ready(folder: NodeFolder, kind: NodeKind) {
  return await makeDataKey(folder.manifest(kind), new FakeKeyManager());
}

function snapshot(folder: string): string {
  const hash = createHash("sha256");
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    hash.update(name);
    const path = join(folder, name);
    if (statSync(path).isFile()) hash.update(readFileSync(path));
  }
  return hash.digest("hex");
}

describe("sealing a key file", () => {
  it("leaves only ciphertext, mode 0600, and an entry with the key's public identity", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey } = await ready(folder, "geth");
    const file = folder.write("nodekey", nodekey);
    const outcome = sealFile(loaded, dataKey, file);
    assert.equal(existsSync(file), false);
    const sealed = folder.at("sealed/nodekey.sealed");
    assert.equal(statSync(sealed).mode & 0o777, 0o600);
    assert.equal(readFileSync(sealed).includes(nodekey.slice(0, 64)), false);
    assert.equal(outcome.entry.publicIdentity, outcome.identity.nodeId);
    assert.deepEqual(outcome.loaded.manifest.sealedFiles, [outcome.entry]);
    assert.deepEqual(
      readdirSync(folder.path, { recursive: true }).sort(),
      ["data-key.box", "node.toml", "sealed", "sealed/nodekey.sealed"].sort(),
    );
  });

  it("comes back byte for byte, to another place and to its own", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey } = await ready(folder, "geth");
    const before = readFileSync(loaded.file, "utf8");
    const file = folder.write("nodekey", nodekey);
    const { loaded: sealed, entry } = sealFile(loaded, dataKey, file);
    unsealTo(sealed, dataKey, entry, folder.at("copy"));
    assert.equal(readFileSync(folder.at("copy"), "utf8"), nodekey);
    assert.equal(statSync(folder.at("copy")).mode & 0o777, 0o600);
    unsealInPlace(sealed, dataKey, sealedEntry(sealed, "nodekey"));
    assert.equal(readFileSync(file, "utf8"), nodekey);
    assert.equal(existsSync(folder.at("sealed/nodekey.sealed")), false);
    assert.equal(readFileSync(loaded.file, "utf8").trimEnd(), before.trimEnd());
  });

  it("never overwrites a file when it unseals", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey } = await ready(folder, "geth");
    const { loaded: sealed, entry } = sealFile(loaded, dataKey, folder.write("nodekey", nodekey));
    folder.write("copy", "mine");
    assert.throws(() => unsealTo(sealed, dataKey, entry, folder.at("copy")), { code: "TARGET_EXISTS" });
    assert.equal(readFileSync(folder.at("copy"), "utf8"), "mine");
    folder.write("nodekey", "another");
    assert.throws(() => unsealInPlace(sealed, dataKey, entry), { code: "TARGET_EXISTS" });
    assert.equal(existsSync(folder.at("sealed/nodekey.sealed")), true);
    assert.throws(() => sealedEntry(sealed, "nothing"), { code: "INPUT_INVALID" });
  });

  it("refuses links, hard links, folders, empty files and unknown formats, and changes nothing", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey } = await ready(folder, "geth");
    const file = folder.write("nodekey", nodekey);
    symlinkSync(file, folder.at("link"));
    folder.write("empty", "");
    folder.write("odd", "not a key");
    mkdirSync(folder.at("folder"));
    folder.write("two-names", nodekey);
    linkSync(folder.at("two-names"), folder.at("second-name"));
    const before = snapshot(folder.path);
    for (const [name, code] of [
      ["link", "FILE_UNSAFE"],
      ["folder", "FILE_UNSAFE"],
      ["two-names", "FILE_UNSAFE"],
      ["empty", "FILE_UNUSABLE"],
      ["missing", "FILE_UNUSABLE"],
      ["odd", "KEY_FILE_INVALID"],
    ] as const)
      assert.throws(() => sealFile(loaded, dataKey, folder.at(name)), { code }, name);
    assert.throws(() => sealFile(loaded, dataKey, file, { handover: "native" }), { code: "INPUT_INVALID" });
    assert.throws(() => sealFile(loaded, dataKey, file, { format: "pem" }), { code: "KEY_FILE_INVALID" });
    assert.throws(() => sealFile(loaded, dataKey, file, { name: "../b" }), { code: "MANIFEST_INVALID" });
    assert.equal(existsSync(file), true);
    assert.equal(readFileSync(file, "utf8"), nodekey);
    assert.equal(snapshot(folder.path), before);
  });

  it("keeps the original when a sealed file of that name holds another key", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey } = await ready(folder, "geth");
    sealFile(loaded, dataKey, folder.write("nodekey", nodekey));
    // The manifest of before the first seal: it does not know the sealed file.
    const other = `${"0".repeat(62)}2b\n`;
    const file = folder.write("nodekey", other);
    assert.throws(() => sealFile(loaded, dataKey, file), { code: /MANIFEST_INVALID|IDENTITY_MISMATCH|TARGET_EXISTS/ });
    assert.equal(readFileSync(file, "utf8"), other);
  });

  it("refuses a second file of the same name", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey } = await ready(folder, "geth");
    const { loaded: sealed } = sealFile(loaded, dataKey, folder.write("nodekey", nodekey));
    mkdirSync(folder.at("b"));
    const file = folder.write("b/nodekey", nodekey);
    assert.throws(() => sealFile(sealed, dataKey, file), { code: "INPUT_INVALID", hint: /--name/ });
    assert.equal(sealFile(sealed, dataKey, file, { name: "second" }).loaded.manifest.sealedFiles.length, 2);
  });

  it("is refused under another data key, in another place of the manifest, and when altered", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey } = await ready(folder, "geth");
    const { loaded: sealed, entry } = sealFile(loaded, dataKey, folder.write("nodekey", nodekey));
    assert.throws(() => openKeyFile(sealed, entry, SecretBuffer.random(32)), { code: "SEALED_FILE_DAMAGED" });
    for (const other of [{ name: "other" }, { version: 2 }, { format: "besu-key" }])
      assert.throws(() => openKeyFile(sealed, { ...entry, ...other }, dataKey), { code: "IDENTITY_MISMATCH" });
    assert.throws(() => openKeyFile(sealed, { ...entry, publicIdentity: "ab".repeat(64) }, dataKey), {
      code: "IDENTITY_MISMATCH",
      exitCode: 5,
    });
    const path = folder.at("sealed/nodekey.sealed");
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    chmodSync(path, 0o600);
    writeFileSync(path, bytes);
    assert.throws(() => openKeyFile(sealed, entry, dataKey), { code: "SEALED_FILE_DAMAGED" });
  });
});

describe("sealing a FISCO key file", () => {
  for (const [kind, mode] of [
    ["fisco", "standard"],
    ["fisco-sm", "sm"],
  ] as const)
    it(`leaves what an unmodified ${kind} node decrypts with its data key, and comes back`, async () => {
      using folder = new NodeFolder();
      const { loaded, dataKey } = await ready(folder, kind);
      mkdirSync(folder.at("conf"));
      const file = folder.write("conf/node.pem", nodePem);
      const { loaded: sealed, entry } = sealFile(loaded, dataKey, file);
      assert.equal(entry.handover, "native");
      assert.match(readFileSync(file, "latin1"), /^[0-9a-f]+$/);
      using text = fiscoDataKey(suites[sealed.manifest.dataKey.suite], dataKey);
      assert.equal(text.byteLength, 64);
      using plain = legacyDecryptKeyFile(mode, text, readFileSync(file));
      assert.ok(plain.equals(Buffer.from(nodePem)));
      assert.deepEqual(sealFile(sealed, dataKey, file).entry, entry, "sealing again changes nothing");
      unsealInPlace(sealed, dataKey, entry);
      assert.equal(readFileSync(file, "utf8"), nodePem);
      assert.deepEqual(readdirSync(folder.at("conf")), ["node.pem"]);
    });
});

describe("the node's data key", () => {
  it("is made once, stored only wrapped, and released again under the node's own context", async () => {
    using folder = new NodeFolder();
    const keyManager = new FakeKeyManager();
    const { loaded, dataKey } = await makeDataKey(folder.manifest("geth"), keyManager);
    using again = await releaseDataKey(loaded, keyManager);
    assert.ok(again.equals(dataKey));
    assert.deepEqual(keyManager.contexts.at(-1), { network: "test-net", node: "node-1", purpose: "node-data-key" });
    dataKey.expose((bytes) => assert.equal(readFileSync(folder.at("data-key.box")).includes(bytes), false));
    await assert.rejects(makeDataKey(loaded, keyManager), { code: "TARGET_EXISTS" });
  });

  it("is refused when it is not the one that the files are under", async () => {
    using folder = new NodeFolder();
    const keyManager = new FakeKeyManager();
    const { loaded } = await makeDataKey(folder.manifest("geth"), keyManager);
    keyManager.mood = "other-key";
    await assert.rejects(releaseDataKey(loaded, keyManager), { code: "DATA_KEY_MISMATCH", exitCode: 5 });
  });

  it("tells refused from unreachable by the exit code", async () => {
    using folder = new NodeFolder();
    const keyManager = new FakeKeyManager();
    const { loaded } = await makeDataKey(folder.manifest("geth"), keyManager);
    keyManager.mood = "refuse";
    await assert.rejects(releaseDataKey(loaded, keyManager), { code: "REFUSED", exitCode: 3 });
    keyManager.mood = "unreachable";
    await assert.rejects(releaseDataKey(loaded, keyManager), { code: "UNREACHABLE", exitCode: 4 });
  });

  it("is missing until it is made, and when its file is gone or cut", async () => {
    using folder = new NodeFolder();
    const keyManager = new FakeKeyManager();
    await assert.rejects(releaseDataKey(folder.manifest("geth"), keyManager), { code: "DATA_KEY_MISSING" });
    const { loaded } = await makeDataKey(folder.manifest("geth"), keyManager);
    folder.write("data-key.box", "");
    await assert.rejects(releaseDataKey(loaded, keyManager), { code: "SEALED_FILE_DAMAGED" });
  });
});
