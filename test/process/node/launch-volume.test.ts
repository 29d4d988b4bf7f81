import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { releaseDataKey } from "../../../src/node/data-key.ts";
import type { VolumeKind } from "../../../src/node/manifest.ts";
import { loadManifest } from "../../../src/node/manifest-reader.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { readMounts } from "../../../src/volume/mounts.ts";
import { FakeKeyManager } from "../../unit/node/fake-key-manager.ts";
import { LaunchedNode, nodekey, shell } from "./launched-node.ts";

const canary = "canary-of-this-launch";

function gocryptfsMissing(): string | false {
  if (!existsSync("/dev/fuse")) return "no /dev/fuse on this machine";
  return spawnSync("gocryptfs", ["-version"]).status === 0 ? false : "gocryptfs is not installed";
}

/** A sealed node with a new, empty volume; `command` may use `{data}`. */
async function withVolume(kind: VolumeKind, command: string) {
  const node = await LaunchedNode.sealed("");
  const file = node.folder.at("node.toml");
  const volume = `[volume]\nkind = "${kind}"\n`;
  writeFileSync(
    file,
    `${readFileSync(file, "utf8").replace("\n[command]\n", () => `\n${volume}\n[command]\n${command}\n`)}`,
  );
  const loaded = loadManifest(node.folder.path);
  const master = SecretBuffer.take(readFileSync(node.outside("master")));
  using dataKey = await releaseDataKey(loaded, new FakeKeyManager({ master }));
  await (await volumeDriver(kind)).create({ folder: node.folder.at("volume") }, dataKey);
  return node;
}

function filesWith(folder: string, needle: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && readFileSync(join(entry.parentPath, entry.name)).includes(needle))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.endsWith("node.toml"));
}

describe("launching on a gocryptfs volume", { skip: gocryptfsMissing() }, () => {
  const script = `printf %s "${canary}" >>"$1/block"; printf %s "${canary}" >"$TMPDIR/scratch"; cat "$1/block"; echo; pwd`;

  it("gives the program its data, temporary and log folders on it, and locks it at the end", async () => {
    await using node = await withVolume(
      "gocryptfs",
      `${shell(script, "{data}")}\nfolder = "{data}"\nlog = "{logs}/node.log"`,
    );
    for (const times of [1, 2]) {
      const { code, stdout, stderr } = await node.run();
      assert.equal(code, 0, stderr);
      assert.equal(stdout, "");
      assert.equal(
        readMounts().some((mount) => mount.mountPoint.startsWith(node.folder.path)),
        false,
      );
      assert.deepEqual(filesWith(node.folder.path, canary), [], `launch ${times}`);
      assert.deepEqual(filesWith(node.folder.path, nodekey.trim()), []);
    }
    const loaded = loadManifest(node.folder.path);
    const master = SecretBuffer.take(readFileSync(node.outside("master")));
    using dataKey = await releaseDataKey(loaded, new FakeKeyManager({ master }));
    const opened = await (await volumeDriver("gocryptfs")).open({ folder: node.folder.at("volume") }, dataKey);
    try {
      const log = readFileSync(join(opened.logPath ?? "", "node.log"), "utf8");
      assert.equal(log, `${canary}\n${opened.dataPath}\n${canary}${canary}\n${opened.dataPath}\n`);
    } finally {
      await opened.close();
    }
  });

  it("changes no file when refused, and leaves the volume locked when the program crashes", async () => {
    await using node = await withVolume("gocryptfs", shell('echo x >"$1/block"; kill -SEGV $$', "{data}"));
    node.mood("refuse");
    const before = node.snapshot();
    assert.equal((await node.run()).code, 3);
    assert.equal(node.snapshot(), before);
    node.mood("agree");
    assert.equal((await node.run()).code, 128 + 11);
    assert.equal(
      readMounts().some((mount) => mount.mountPoint.startsWith(node.folder.path)),
      false,
    );
  });

  it("stops what the program left running before it locks the volume", async () => {
    await using node = await withVolume("gocryptfs", shell('(cd "$1"; exec sleep 600) & echo done', "{data}"));
    const { code, stderr } = await node.run();
    assert.equal(code, 0, stderr);
    assert.equal(
      readMounts().some((mount) => mount.mountPoint.startsWith(node.folder.path)),
      false,
    );
  });

  it("ends with 5 when the volume is another node's, and starts nothing", async () => {
    await using node = await withVolume("gocryptfs", shell("echo started"));
    await using other = await withVolume("gocryptfs", shell("echo started"));
    const header = readFileSync(other.folder.at("volume/volume.header"));
    writeFileSync(node.folder.at("volume/volume.header"), header);
    const { code, stdout } = await node.run();
    assert.equal(code, 5);
    assert.equal(stdout, "");
  });

  it("ends with 1 when the volume is gone, and does not begin a new one", async () => {
    await using node = await withVolume("gocryptfs", shell("echo started"));
    rmSync(node.folder.at("volume"), { recursive: true });
    const { code, stdout } = await node.run();
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.equal(existsSync(node.folder.at("volume")), false);
  });
});

describe("launching on a level volume", () => {
  it("gives the program a key of its own on a descriptor, the same at each start", async () => {
    const read = 'eval "head -c 64 <&$1" | od -An -tx1 | tr -d " \\n"; cat "$2"';
    await using node = await withVolume("level", shell(read, "{fd:level}", "{key:nodekey}"));
    const first = await node.run();
    assert.match(first.stdout, new RegExp(`^[0-9a-f]{64}${nodekey}$`), first.stderr);
    assert.deepEqual(await node.run(), first);
    await using other = await withVolume("level", shell(read, "{fd:level}", "{key:nodekey}"));
    assert.notEqual((await other.run()).stdout, first.stdout);
  });

  it("refuses log folders that no volume would encrypt", async () => {
    await using node = await withVolume("level", `${shell("echo started")}\nlog = "{logs}/node.log"`);
    const { code, stdout } = await node.run();
    assert.equal(code, 1);
    assert.equal(stdout, "");
  });
});
