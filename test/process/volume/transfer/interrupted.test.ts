import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { volumeDriver } from "../../../../src/volume/drivers.ts";
import { importVolume } from "../../../../src/volume/transfer/import-volume.ts";
import { FilledStore, isRoot, treeOf } from "../../../unit/volume/transfer/filled-store.ts";

const program = join(import.meta.dirname, "import-program.ts");
const patienceMs = 20_000;

async function* whole(bytes: Buffer): AsyncIterable<Buffer> {
  yield bytes;
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (const latest = Date.now() + patienceMs; !holds(); ) {
    assert.ok(Date.now() < latest, what);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("an import that is interrupted", () => {
  it("leaves no volume when it is killed, and the next one starts over", async () => {
    using store = await FilledStore.make();
    const exported = await store.export();
    for (const share of [0.1, 0.6, 0.99]) {
      const folder = store.target(`killed-${share}`);
      const keyFile = join(store.work, "key");
      store.dataKey.expose((bytes) => writeFileSync(keyFile, bytes, { mode: 0o600 }));
      const keyFd = openSync(keyFile, "r");
      const child = spawn(process.execPath, [program, folder], { stdio: ["pipe", "ignore", "inherit", keyFd] });
      closeSync(keyFd);
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.stdin?.on("error", () => {});
      child.stdin?.write(exported.subarray(0, Math.floor(exported.length * share)));
      await until(() => existsSync(join(folder, "store")), "the import does not begin");
      child.kill("SIGKILL");
      await ended;
      const { state } = await (await volumeDriver("sealfs")).status({ folder });
      assert.equal(state, "incomplete");
      assert.equal(existsSync(join(folder, "volume.header")), false);
      await importVolume({ folder }, store.dataKey, whole(exported));
      const expected = treeOf(join(store.folder, "store/tree"));
      assert.deepEqual(treeOf(join(folder, "store/tree")), expected);
    }
  });

  it("leaves no volume when the disk is full", {
    skip: isRoot ? false : "only root can mount a small file system",
  }, async (context) => {
    using store = await FilledStore.make();
    const exported = await store.export();
    const small = join(store.work, "small");
    mkdirSync(small);
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=400k", "none", small]).status !== 0)
      return context.diagnostic("this machine lets nobody mount");
    try {
      const folder = join(small, "volume");
      await assert.rejects(importVolume({ folder }, store.dataKey, whole(exported)), {
        code: "VOLUME_SYSTEM",
        message: /ENOSPC/,
      });
      assert.deepEqual(readdirSync(folder), ["volume.lock"]);
      assert.equal(statSync(join(folder, "volume.lock")).size, 0);
    } finally {
      spawnSync("umount", [small]);
    }
  });
});
