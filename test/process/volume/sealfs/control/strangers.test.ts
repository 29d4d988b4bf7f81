import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { volumeDriver } from "../../../../../src/volume/drivers.ts";
import { mountAt } from "../../../../../src/volume/mounts.ts";
import { nobody, otherUserUnavailable } from "../../../other-user.ts";
import { gather, run, until } from "../../engines/processes.ts";
import { MasterKeys, ServedVolume, skip } from "./served-volume.ts";

const asking = join(import.meta.dirname, "asking-program.ts");
const silentOwner = join(import.meta.dirname, "silent-owner.ts");

describe("a stranger at the control of a sealfs volume", { skip: skip || otherUserUnavailable }, () => {
  it("is not answered, though the socket's mode lets it connect", async (t) => {
    const rules = [{ pattern: "data/secret-name", becomes: "plain" }] as const;
    const served = await ServedVolume.create(t, { rules });
    await served.open();
    const socket = join(served.folder, "volume.control");
    const asRoot = () => run(process.execPath, [asking, socket]);
    const asNobody = () => run(process.execPath, [asking, socket], { uid: nobody, gid: nobody });
    assert.match(await asRoot(), /secret-name/);
    assert.equal(await asNobody(), "EACCES\n");
    chmodSync(dirname(served.folder), 0o755);
    chmodSync(served.folder, 0o755);
    assert.equal(await asNobody(), "EACCES\n");
    chmodSync(socket, 0o777);
    for (let time = 0; time < 3; time += 1) assert.equal(await asNobody(), "closed\n");
    assert.match(await asRoot(), /secret-name/);
  });
});

describe("the owner of a sealfs volume that is killed while it is asked for a key", { skip }, () => {
  it("takes the volume with it, and nobody waits for its answer", async (t) => {
    const masters = new MasterKeys();
    const publicKey = masters.make();
    const served = await ServedVolume.create(t, {
      rules: [{ pattern: "data/*", becomes: "sealed" }],
      keyHolder: { publicKey },
    });
    const data = await served.open({ keyHolder: masters.holder(publicKey) });
    await mkdir(join(data, "zone"));
    await writeFile(join(data, "zone/file"), "sealed");
    await served.close();
    const owner = spawn(process.execPath, [silentOwner, served.folder, publicKey.toString("hex")], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = once(owner, "exit");
    try {
      const told = gather(owner.stdout);
      owner.stdin.end(served.dataKey.expose((bytes) => Buffer.from(bytes)));
      await until(async () => told().includes("open"), "the volume is opened");
      const reading = assert.rejects(readFile(join(data, "zone/file")));
      await until(async () => told().includes("asked"), "the owner is asked");
      owner.kill("SIGKILL");
      await reading;
    } finally {
      owner.kill("SIGKILL");
      await ended;
    }
    await until(async () => mountAt(join(served.folder, "root")) === undefined, "the volume is unmounted");
    const driver = await volumeDriver("sealfs");
    await until(async () => (await driver.status({ folder: served.folder })).state === "locked", "it is locked");
    const again = await served.open({ keyHolder: masters.holder(publicKey) });
    assert.equal(await readFile(join(again, "zone/file"), "utf8"), "sealed");
  });
});
