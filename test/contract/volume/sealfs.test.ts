import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { readMounts } from "../../../src/volume/mounts.ts";
import type { VolumeDriver } from "../../../src/volume/volume.ts";
import { pathsHolding, snapshot } from "./backing-search.ts";
import { transparent } from "./transparent-subject.ts";
import { volumeContract } from "./volume-contract.ts";

const missing = ["/dev/fuse", "/usr/bin/fusermount3"].find((path) => !existsSync(path));
const skip = missing === undefined ? false : `this machine has no ${missing}`;

interface WorkPlace {
  readonly driver: VolumeDriver;
  readonly dataKey: SecretBuffer;
  readonly workFolder: string;
  /** Of a volume that the test makes. */
  readonly folder: string;
}

/** A test with a folder and a data key of its own, which are gone afterwards. */
function inWorkFolder(run: (place: WorkPlace) => Promise<void>): () => Promise<void> {
  return async () => {
    const workFolder = mkdtempSync(join(tmpdir(), "strongroom-sealfs-"));
    try {
      using dataKey = SecretBuffer.random(32);
      const driver = await volumeDriver("sealfs");
      await run({ driver, dataKey, workFolder, folder: join(workFolder, "volume") });
    } finally {
      rmSync(workFolder, { recursive: true, force: true });
    }
  };
}

volumeContract("sealfs", () => {
  if (skip !== false) return skip;
  const workFolder = mkdtempSync(join(tmpdir(), "strongroom-sealfs-"));
  return {
    ...transparent,
    workFolder,
    searchLocked: pathsHolding,
    clear() {
      for (const { mountPoint } of readMounts().filter((mount) => mount.mountPoint.startsWith(`${workFolder}/`)))
        spawnSync("fusermount3", ["-u", "-z", "--", mountPoint]);
      rmSync(workFolder, { recursive: true, force: true });
    },
  };
});

it(
  "a check of a sealfs volume names the folder in which an entry was altered, and the volume serves the others",
  {
    skip,
  },
  inWorkFolder(async ({ driver, dataKey, folder }) => {
    await driver.create({ folder }, dataKey, { parameters: { names: "plain" } });
    const volume = await driver.open({ folder }, dataKey);
    for (const name of ["one", "two"]) writeFileSync(join(volume.dataPath, name), name);
    await volume.close();
    const [stored = ""] = pathsHolding(join(folder, "store"), "one~");
    renameSync(stored, stored.replace("one~", "1st~"));
    const report = await driver.check({ folder }, dataKey);
    assert.match(report.findings.find(({ ok }) => !ok)?.detail ?? "", /"\/data": /);
    const again = await driver.open({ folder }, dataKey);
    assert.equal(readFileSync(join(again.dataPath, "two"), "utf8"), "two");
    for (const name of ["one", "1st"])
      assert.throws(() => readFileSync(join(again.dataPath, name)), { code: /^(EIO|ENOENT)$/ });
    await again.close();
  }),
);

it(
  "a sealfs volume that was not closed in good order is told of by a check, which changes nothing",
  {
    skip,
  },
  inWorkFolder(async ({ driver, dataKey, folder }) => {
    await driver.create({ folder }, dataKey);
    const detail = async () =>
      (await driver.check({ folder }, dataKey)).findings.find(({ check }) => check === "closed in good order")?.detail;
    assert.equal(await detail(), "yes");
    const volume = await driver.open({ folder }, dataKey);
    writeFileSync(join(volume.dataPath, "file"), "x".repeat(50_000), { flush: true });
    await volume.close();
    assert.equal(await detail(), "yes");
    const killed = await driver.open({ folder }, dataKey);
    process.kill(serverOf(join(folder, "store")), "SIGKILL");
    await killed.lost;
    await killed.close({ whenBusy: "cutOff" }).catch(() => {});
    const before = snapshot(folder);
    for (let time = 0; time < 2; time++) assert.match((await detail()) ?? "", /^no/);
    assert.deepEqual(snapshot(folder), before);
  }),
);

it(
  "what someone puts into a sealfs store as links and FIFOs is neither followed nor waited for",
  {
    skip,
  },
  inWorkFolder(async ({ driver, dataKey, folder, workFolder }) => {
    const victim = join(workFolder, "victim");
    writeFileSync(victim, "untouched", { mode: 0o600 });
    await driver.create({ folder }, dataKey, { parameters: { names: "plain" } });
    const volume = await driver.open({ folder }, dataKey);
    const longName = "n".repeat(250);
    mkdirSync(join(volume.dataPath, "swapped"));
    mkdirSync(join(volume.dataPath, "long"));
    writeFileSync(join(volume.dataPath, "long", longName), "");
    const [stored = ""] = pathsHolding(join(folder, "store"), "swapped~");
    rmdirSync(stored);
    symlinkSync(victim, stored);
    assert.throws(() => chmodSync(join(volume.dataPath, "swapped"), 0o777));
    for (const name of ["synced", "keys.new", "keys.torn"]) {
      rmSync(join(folder, "store", name), { force: true });
      symlinkSync(victim, join(folder, "store", name));
    }
    await volume.close();
    assert.equal(readFileSync(victim, "utf8"), "untouched");
    assert.equal(statSync(victim).mode & 0o777, 0o600);

    const [sidecar = ""] = pathsHolding(join(folder, "store"), "~name");
    rmSync(sidecar);
    assert.equal(spawnSync("mkfifo", [sidecar]).status, 0);
    const again = await driver.open({ folder }, dataKey);
    assert.throws(() => readFileSync(join(again.dataPath, "long", longName)));
    await again.close();
    rmSync(join(folder, "store/synced"), { force: true });
    assert.equal(spawnSync("mkfifo", [join(folder, "store/synced")]).status, 0);
    await (await driver.open({ folder }, dataKey)).close();
  }),
);

it(
  "a sealfs server that is sent SIGTERM serves on until its owner closes the volume",
  { skip },
  inWorkFolder(async ({ driver, dataKey, folder }) => {
    await driver.create({ folder }, dataKey);
    const volume = await driver.open({ folder }, dataKey);
    const store = join(folder, "store");
    const server = serverOf(store);
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.kill(server, signal);
    writeFileSync(join(volume.dataPath, "file"), "written after");
    assert.equal(readFileSync(join(volume.dataPath, "file"), "utf8"), "written after");
    await volume.close();
    const again = await driver.open({ folder }, dataKey);
    assert.equal(readFileSync(join(again.dataPath, "file"), "utf8"), "written after");
    await again.close();
  }),
);

it(
  "a sealfs volume whose key table was put back, or cut between two records, is refused or tells of it at each file",
  {
    skip,
  },
  inWorkFolder(async ({ driver, dataKey, folder }) => {
    await driver.create({ folder }, dataKey);
    const table = join(folder, "store/keys");
    const older = readFileSync(table);
    const volume = await driver.open({ folder }, dataKey);
    writeFileSync(join(volume.dataPath, "file"), "of a later session");
    await volume.close();
    const right = readFileSync(table);
    writeFileSync(table, right.subarray(0, right.length - 80));
    const refused = { message: /key table/ };
    await assert.rejects(driver.open({ folder }, dataKey), refused);
    await assert.rejects(driver.check({ folder }, dataKey), refused);
    writeFileSync(table, older);
    assert.equal((await driver.check({ folder }, dataKey)).sound, false);
    const told: string[] = [];
    const again = await driver.open({ folder }, dataKey, { onDamage: (what) => told.push(what) });
    assert.throws(() => readFileSync(join(again.dataPath, "file")), { code: "EIO" });
    await again.close();
    assert.match(told.join("\n"), /an older key table was put back/);
    writeFileSync(table, right);
    const last = await driver.open({ folder }, dataKey);
    assert.equal(readFileSync(join(last.dataPath, "file"), "utf8"), "of a later session");
    await last.close();
  }),
);

/** The process that serves a store. */
function serverOf(store: string): number {
  const servers = readdirSync("/proc").filter((name) => {
    try {
      return /^[0-9]+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0").includes(store);
    } catch {
      return false;
    }
  });
  assert.equal(servers.length, 1);
  return Number(servers[0]);
}

for (const suite of ["intl", "sm"] as const)
  it(
    `a check of a sealfs volume of the suite ${suite} names the path of what is damaged, and the volume serves the rest`,
    {
      skip,
    },
    inWorkFolder(async ({ driver, dataKey, folder }) => {
      await driver.create({ folder }, dataKey, { suite, parameters: { blockSize: "4096" } });
      const volume = await driver.open({ folder }, dataKey);
      writeFileSync(join(volume.dataPath, "file"), "x".repeat(20_000), { flush: true });
      writeFileSync(join(volume.dataPath, "other"), "whole");
      await volume.close();
      assert.equal((await driver.check({ folder }, dataKey)).sound, true);

      const [stored = ""] = pathsHolding(join(folder, "store", "tree"), "").filter(
        (path) => lstatSync(path).size > 20_000,
      );
      const bytes = readFileSync(stored);
      bytes.writeUInt8(bytes.readUInt8(10_000) ^ 1, 10_000);
      writeFileSync(stored, bytes);
      const report = await driver.check({ folder }, dataKey);
      assert.equal(report.sound, false);
      assert.match(report.findings.find(({ ok }) => !ok)?.detail ?? "", /"\/data\/file"/);
      const told: string[] = [];
      const again = await driver.open({ folder }, dataKey, { onDamage: (what) => told.push(what) });
      for (let time = 0; time < 2; time++)
        assert.throws(() => readFileSync(join(again.dataPath, "file")), { code: "EIO" });
      assert.equal(readFileSync(join(again.dataPath, "other"), "utf8"), "whole");
      await again.close();
      assert.match(told.join("\n"), /^content-damaged: [^\n]+$/);
    }),
  );
