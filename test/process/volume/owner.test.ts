import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { mountAt, readMounts } from "../../../src/volume/mounts.ts";
import type { VolumeKind, VolumeState } from "../../../src/volume/volume.ts";
import { mountExt4 } from "../../contract/volume/encrypted-ext4.ts";
import { OpenedVolumes } from "../../contract/volume/opened-volumes.ts";
import { scaled } from "../../run-settings.ts";
import { Owner } from "./owner.ts";

interface Machine {
  readonly kind: VolumeKind;
  readonly workFolder: string;
  /** What a volume is once its owner was killed and the machine is at rest. */
  readonly afterKill: VolumeState;
  clear(): void;
}

const fuseKinds = ["gocryptfs", "sealfs"] as const;

function fuseMachine(kind: (typeof fuseKinds)[number]): Machine | string {
  for (const needed of ["/dev/fuse", "/usr/bin/fusermount3", ...(kind === "gocryptfs" ? ["/usr/bin/gocryptfs"] : [])])
    if (!existsSync(needed)) return `${needed} is missing`;
  return { kind, ...plainFolder(), afterKill: "locked" };
}

function kernelMachine(): Machine | string {
  const ext4 = mountExt4("encrypt");
  if (typeof ext4 === "string") return ext4;
  const place = { workFolder: ext4.mountPoint, clear: () => ext4.remove() };
  return { kind: "fscrypt", ...place, afterKill: "stale" };
}

function plainFolder(): Pick<Machine, "workFolder" | "clear"> {
  const workFolder = mkdtempSync(join(tmpdir(), "strongroom-owner-"));
  return {
    workFolder,
    clear() {
      for (const { mountPoint } of readMounts().filter((mount) => mount.mountPoint.startsWith(`${workFolder}/`)))
        spawnSync("fusermount3", ["-u", "-z", "--", mountPoint]);
      rmSync(workFolder, { recursive: true, force: true });
    },
  };
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const begunMs = Date.now();
  while (!(await isSo())) {
    if (Date.now() - begunMs > 20_000) throw new Error(`${what} did not come about within 20 s`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The processes that serve a store under `folder`. */
function servers(folder: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        const isServer =
          words[0]?.endsWith("gocryptfs") === true || words[1]?.endsWith("/sealfs/server/main.ts") === true;
        return isServer && words.includes(join(folder, "store"));
      } catch {
        return false;
      }
    })
    .map(Number);
}

const machines: readonly (readonly [VolumeKind, Machine | string])[] = [
  ["gocryptfs", fuseMachine("gocryptfs")],
  ["sealfs", fuseMachine("sealfs")],
  ["fscrypt", kernelMachine()],
  ["level", { kind: "level", ...plainFolder(), afterKill: "locked" }],
];

for (const [kind, machine] of machines)
  describe(`the owner of a ${kind} volume`, () => {
    const skip = typeof machine === "string" ? machine : false;
    let count = 0;
    after(() => typeof machine !== "string" && machine.clear());

    async function onNewVolume(
      body: (at: { opened: OpenedVolumes; folder: string; dataKey: SecretBuffer; machine: Machine }) => Promise<void>,
    ): Promise<void> {
      assert.ok(typeof machine !== "string");
      using dataKey = SecretBuffer.random(32);
      const folder = join(machine.workFolder, `volume-${count++}`);
      await using opened = new OpenedVolumes(await volumeDriver(kind));
      await opened.driver.create({ folder }, dataKey);
      await body({ opened, folder, dataKey, machine });
    }

    it("keeps every other process out, and is named to it", { skip }, () =>
      onNewVolume(async ({ opened: { driver }, folder, dataKey }) => {
        await using owner = await Owner.start("hold", kind, folder, dataKey);
        const refused = { code: "VOLUME_ALREADY_OPEN", message: new RegExp(`process ${owner.pid} `) };
        await assert.rejects(driver.open({ folder }, dataKey), refused);
        await assert.rejects(driver.check({ folder }, dataKey), refused);
        await assert.rejects(driver.close({ folder }), refused);
        await assert.rejects(driver.create({ folder }, dataKey), { code: "VOLUME_EXISTS" });
        const { state, ownerPid } = await driver.status({ folder });
        assert.deepEqual([state, ownerPid], ["open", owner.pid]);
      }),
    );

    it("killed with SIGKILL, leaves a volume that opens with what was written", { skip }, () =>
      onNewVolume(async ({ opened: { driver }, folder, dataKey, machine: { afterKill } }) => {
        const owner = await Owner.start("hold", kind, folder, dataKey);
        await owner.kill();
        await until(afterKill, async () => (await driver.status({ folder })).state === afterKill);
        assert.equal(mountAt(join(folder, "root")), undefined);
        assert.deepEqual(servers(folder), []);
        const volume = await driver.open({ folder }, dataKey);
        assert.equal(readFileSync(join(volume.dataPath, "canary"), "utf8"), "written before the kill");
        await volume.close();
        assert.equal((await driver.status({ folder })).state, "locked");
      }),
    );

    it("killed with SIGKILL, is followed at once by the next", { skip }, () =>
      onNewVolume(async ({ opened: { driver }, folder, dataKey }) => {
        const owner = await Owner.start("hold", kind, folder, dataKey);
        await owner.kill();
        const volume = await driver.open({ folder }, dataKey);
        assert.equal(readFileSync(join(volume.dataPath, "canary"), "utf8"), "written before the kill");
        await volume.close();
      }),
    );

    it("killed while it makes the volume, leaves a folder in which it can be made", { skip }, async () => {
      assert.ok(typeof machine !== "string");
      const driver = await volumeDriver(kind);
      for (let round = 0; round < scaled(80); round++) {
        using dataKey = SecretBuffer.random(32);
        const folder = join(machine.workFolder, `made-${round}`);
        const owner = await Owner.start("create", kind, folder, dataKey, "ready");
        await new Promise((resolve) => setTimeout(resolve, randomInt(12)));
        await owner.kill();
        const { state } = await driver.status({ folder });
        assert.ok(["absent", "incomplete", "locked"].includes(state), state);
        if (state !== "locked") await driver.create({ folder }, dataKey);
        await (await driver.open({ folder }, dataKey)).close();
      }
    });

    if (kind === "level") return;

    it("may close it only once no program uses it, and is told which does", { skip }, () =>
      onNewVolume(async ({ opened: { driver }, folder, dataKey }) => {
        const volume = await driver.open({ folder }, dataKey);
        const user = spawn("sleep", ["60"], { cwd: volume.dataPath, stdio: "ignore" });
        await once(user, "spawn");
        const ended = once(user, "exit");
        try {
          const busy = { code: "VOLUME_BUSY", message: new RegExp(`process ${user.pid} \\(sleep\\)`) };
          await assert.rejects(volume.close({ patienceMs: 50 }), busy);
          if (kind === "fscrypt") assert.equal((await driver.status({ folder })).state, "busy");
          else await volume.close({ patienceMs: 50, whenBusy: "cutOff" });
        } finally {
          user.kill("SIGKILL");
          await ended;
        }
        await volume.close();
        assert.equal((await driver.status({ folder })).state, "locked");
        assert.equal(mountAt(join(folder, "root")), undefined);
      }),
    );

    it("may leave it open on purpose, until it is closed from elsewhere", { skip }, () =>
      onNewVolume(async ({ opened: { driver }, folder, dataKey }) => {
        const owner = await Owner.start("leave", kind, folder, dataKey);
        await owner.ended();
        try {
          assert.equal((await driver.status({ folder })).state, "open");
          assert.equal(readFileSync(join(folder, "root/data/canary"), "utf8"), "written before the kill");
          await assert.rejects(driver.open({ folder }, dataKey), { code: "VOLUME_ALREADY_OPEN" });
        } finally {
          await driver.close({ folder });
        }
        assert.equal((await driver.status({ folder })).state, "locked");
        await assert.rejects(driver.close({ folder }), { code: "VOLUME_NOT_OPEN" });
        await until("the end of its server", () => servers(folder).length === 0);
      }),
    );
  });

for (const kind of fuseKinds)
  describe(`a ${kind} server that is killed`, () => {
    const machine = fuseMachine(kind);
    const skip = typeof machine === "string" ? machine : false;
    after(() => typeof machine !== "string" && machine.clear());

    it("because its owner was, goes although a program still uses the volume", { skip }, async () => {
      assert.ok(typeof machine !== "string");
      using dataKey = SecretBuffer.random(32);
      const folder = join(machine.workFolder, "used");
      const driver = await volumeDriver(kind);
      await driver.create({ folder }, dataKey);
      const owner = await Owner.start("hold", kind, folder, dataKey);
      const user = spawn("sleep", ["60"], { cwd: join(folder, "root/data"), stdio: "ignore" });
      await once(user, "spawn");
      const ended = once(user, "exit");
      try {
        await owner.kill();
        await until("the end of the server", () => servers(folder).length === 0);
        assert.equal(mountAt(join(folder, "root")), undefined);
        // The server's pid may still be there for a moment, as a zombie that nobody has waited for.
        await until("the lock's end", async () => (await driver.status({ folder })).state === "locked");
      } finally {
        user.kill("SIGKILL");
        await ended;
      }
      await (await driver.open({ folder }, dataKey)).close();
    });

    for (const mender of ["open", "close"] as const)
      it(`together with its owner leaves a dead mount, which the next ${mender} clears away`, { skip }, async () => {
        assert.ok(typeof machine !== "string");
        using dataKey = SecretBuffer.random(32);
        const folder = join(machine.workFolder, mender);
        const driver = await volumeDriver(kind);
        await driver.create({ folder }, dataKey);
        await using owner = await Owner.start("hold", kind, folder, dataKey);
        const [server] = servers(folder);
        assert.ok(server);
        // Held still, the owner cannot unmount what its server leaves behind.
        process.kill(owner.pid, "SIGSTOP");
        process.kill(server, "SIGKILL");
        await owner.kill();
        await until("stale", async () => (await driver.status({ folder })).state === "stale");
        assert.notEqual(mountAt(join(folder, "root")), undefined);
        if (mender === "open") {
          const volume = await driver.open({ folder }, dataKey);
          assert.equal(readFileSync(join(volume.dataPath, "canary"), "utf8"), "written before the kill");
          await volume.close();
        } else if (kind === "sealfs") await assert.rejects(driver.close({ folder }), { code: "VOLUME_ENDED_BADLY" });
        else await driver.close({ folder });
        assert.equal((await driver.status({ folder })).state, "locked");
        assert.equal(mountAt(join(folder, "root")), undefined);
      });

    it("alone is told to its owner as a lost volume, and can be opened again", { skip }, async () => {
      assert.ok(typeof machine !== "string");
      using dataKey = SecretBuffer.random(32);
      const folder = join(machine.workFolder, "lost");
      const driver = await volumeDriver(kind);
      await driver.create({ folder }, dataKey);
      const volume = await driver.open({ folder }, dataKey);
      const [server] = servers(folder);
      assert.ok(server);
      process.kill(server, "SIGKILL");
      assert.equal((await volume.lost).message.includes("stopped serving"), true);
      await volume.close({ whenBusy: "cutOff" });
      await (await driver.open({ folder }, dataKey)).close();
    });
  });
