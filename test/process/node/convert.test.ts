import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ClassicLevel } from "classic-level";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { convertSteps, convertToPlain, convertToVolume } from "../../../src/node/convert.ts";
import { makeDataKey } from "../../../src/node/make-data-key.ts";
import { type LoadedManifest, loadManifest } from "../../../src/node/manifest-reader.ts";
import { treeDigest } from "../../../src/node/tree.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { FakeKeyManager, NodeFolder } from "../../unit/node/fake-key-manager.ts";

const program = join(import.meta.dirname, "convert-program.ts");
const nodekey = `${"0".repeat(62)}2a\n`;
const canary = "canary-in-the-chain";

function gocryptfsMissing(): string | false {
  if (!existsSync("/dev/fuse")) return "no /dev/fuse on this machine";
  return spawnSync("gocryptfs", ["-version"]).status === 0 ? false : "gocryptfs is not installed";
}
const skip = gocryptfsMissing();

async function plainNode(kind: "gocryptfs" | "level") {
  const folder = new NodeFolder();
  const master = randomBytes(32);
  const masterFile = folder.write("master", master);
  mkdirSync(folder.at("node"));
  mkdirSync(folder.at("data/chain"), { recursive: true });
  const { loaded, dataKey } = await makeDataKey(
    manifestIn(folder, kind),
    new FakeKeyManager({ master: SecretBuffer.take(master) }),
  );
  return { folder, masterFile, loaded, dataKey, data: folder.at("data") };
}

function manifestIn(folder: NodeFolder, kind: "gocryptfs" | "level"): LoadedManifest {
  const { file } = folder.manifest("geth", { volumeKind: kind });
  writeFileSync(folder.at("node/node.toml"), readFileSync(file));
  return loadManifest(folder.at("node"));
}

function fill(data: string): void {
  writeFileSync(join(data, "nodekey"), nodekey, { mode: 0o600 });
  writeFileSync(join(data, "chain/000001.ldb"), canary.repeat(1000));
  writeFileSync(join(data, "chain/empty"), "");
  mkdirSync(join(data, "empty-folder"), { mode: 0o750 });
  symlinkSync("000001.ldb", join(data, "chain/CURRENT"));
}

function filesWith(folder: string, needle: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && readFileSync(join(entry.parentPath, entry.name)).includes(needle))
    .map((entry) => join(entry.parentPath, entry.name));
}

describe("converting a stopped node", { skip }, () => {
  it("moves its data into a volume, seals its keys, and brings both back byte for byte", async () => {
    const { folder, loaded, dataKey, data } = await plainNode("gocryptfs");
    using _folder = folder;
    fill(data);
    const before = await treeDigest(data);
    await convertToVolume(loaded, dataKey, data, { seal: [join(data, "nodekey")] });
    assert.equal(existsSync(data), false);
    assert.deepEqual(filesWith(folder.path, canary), []);
    assert.deepEqual(filesWith(folder.path, nodekey.trim()), []);
    assert.deepEqual(readdirSync(folder.path).sort(), ["master", "node", "node.toml"]);
    await convertToPlain(loadManifest(folder.at("node")), dataKey, data);
    assert.equal(await treeDigest(data), before);
    assert.deepEqual(readdirSync(folder.at("node")).sort(), ["data-key.box", "node.toml", "sealed"]);
  });

  for (const direction of ["to-volume", "to-plain"] as const)
    for (const step of convertSteps)
      it(`${direction}: killed after "${step}" it loses nothing, and the same call goes on`, async () => {
        const { folder, masterFile, loaded, dataKey, data } = await plainNode("gocryptfs");
        using _folder = folder;
        fill(data);
        const before = await treeDigest(data);
        const seal = join(data, "nodekey");
        if (direction === "to-plain") await convertToVolume(loaded, dataKey, data, { seal: [seal] });
        const args = [folder.at("node"), masterFile, data, direction];
        const sealing = direction === "to-volume" ? [seal] : [];
        const killed = spawnSync(process.execPath, [program, ...args, step, ...sealing]);
        assert.equal(killed.signal, "SIGKILL", String(killed.stderr));
        const resumed = spawnSync(process.execPath, [program, ...args, ""]);
        assert.equal(resumed.status, 0, String(resumed.stderr));
        if (direction === "to-volume") await convertToPlain(loadManifest(folder.at("node")), dataKey, data);
        assert.equal(await treeDigest(data), before);
        assert.equal(existsSync(folder.at("node/conversion.json")), false);
      });

  it("is refused while a process has a file of the folder open, with everything as it was", async () => {
    const { folder, masterFile, loaded, data } = await plainNode("gocryptfs");
    using _folder = folder;
    fill(data);
    const before = await treeDigest(folder.path);
    const open = openSync(join(data, "chain/000001.ldb"), "r");
    try {
      const refused = spawnSync(process.execPath, [program, folder.at("node"), masterFile, data, "to-volume", ""]);
      assert.equal(refused.status, 1);
      assert.match(String(refused.stderr), new RegExp(`in use by process ${process.pid}`));
    } finally {
      closeSync(open);
    }
    assert.equal(await treeDigest(folder.path), before);
    assert.equal(loaded.manifest.sealedFiles.length, 0);
  });

  it("is refused for a folder that is missing, holds the node's own folder, or whose volume has data", async () => {
    const { folder, loaded, dataKey, data } = await plainNode("gocryptfs");
    using _folder = folder;
    fill(data);
    await assert.rejects(convertToVolume(loaded, dataKey, folder.at("missing")), { code: "INPUT_INVALID" });
    await assert.rejects(convertToVolume(loaded, dataKey, folder.path), { code: "INPUT_INVALID" });
    await convertToVolume(loaded, dataKey, data);
    mkdirSync(join(data, "chain"), { recursive: true });
    await assert.rejects(convertToVolume(loaded, dataKey, data), { code: "TARGET_EXISTS" });
    await assert.rejects(convertToPlain(loaded, dataKey, data), { code: "TARGET_EXISTS" });
  });

  it("refuses another folder while a conversion is unfinished, and a journal that is not one", async () => {
    const { folder, loaded, dataKey, data } = await plainNode("gocryptfs");
    using _folder = folder;
    fill(data);
    const journal = folder.at("node/conversion.json");
    writeFileSync(journal, JSON.stringify({ direction: "to-plain", folder: "/x", phase: "copying" }));
    await assert.rejects(convertToVolume(loaded, dataKey, data), { code: "CONVERSION_STATE" });
    for (const bad of ["", "{}", "[]", "null", '{"direction":"to-volume","folder":1,"phase":"copying"}']) {
      writeFileSync(journal, bad);
      await assert.rejects(convertToVolume(loaded, dataKey, data), { code: "CONVERSION_STATE" });
    }
  });
});

describe("converting LevelDB folders", () => {
  const entries = Array.from({ length: 1200 }, (_, index) => [`key-${index}`, `${canary}-${index}`] as const);

  async function withDatabase() {
    const node = await plainNode("level");
    const level = new ClassicLevel(join(node.data, "chain"));
    await level.batch(entries.map(([key, value]) => ({ type: "put", key, value })));
    await level.close();
    return node;
  }

  for (const encryptKeyNames of [false, true])
    it(`writes them anew through the encrypted level, ${encryptKeyNames ? "names too" : "names clear"}, and back`, async () => {
      const { folder, loaded, dataKey, data } = await withDatabase();
      using _folder = folder;
      await convertToVolume(loaded, dataKey, data, { encryptKeyNames });
      assert.deepEqual(filesWith(folder.path, canary), []);
      if (encryptKeyNames) assert.deepEqual(filesWith(folder.path, "key-1"), []);
      await convertToPlain(loaded, dataKey, data, { encryptKeyNames });
      const level = new ClassicLevel(join(data, "chain"));
      assert.deepEqual(
        await level.iterator().all(),
        [...entries].sort(([a], [b]) => (a < b ? -1 : 1)),
      );
      await level.close();
    });

  it("refuses files that nothing would encrypt, before anything is changed", async () => {
    const { folder, loaded, dataKey, data } = await withDatabase();
    using _folder = folder;
    writeFileSync(join(data, "node.log"), "x");
    await assert.rejects(convertToVolume(loaded, dataKey, data), { code: "INPUT_INVALID", message: /node\.log/ });
    assert.equal((await (await volumeDriver("level")).status({ folder: folder.at("node/volume") })).state, "absent");
  });
});
