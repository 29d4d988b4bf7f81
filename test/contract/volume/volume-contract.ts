import assert from "node:assert/strict";
import { closeSync, cpSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { OwnerLock } from "../../../src/volume/owner-lock.ts";
import type { OpenVolume, VolumeDriver, VolumeKind } from "../../../src/volume/volume.ts";
import { scaled, seed } from "../../run-settings.ts";
import { pathsHolding, snapshot } from "./backing-search.ts";
import { OpenedVolumes } from "./opened-volumes.ts";

/** What a kind brings to the contract. */
export interface VolumeSubject {
  /** A folder on a file system that can hold the kind; emptied by {@link clear}. */
  readonly workFolder: string;
  readonly hidesNames: boolean;
  /** True when a file that is held open keeps the volume from closing. */
  readonly knowsBusy: boolean;
  /** Writes and reads a value as the program of this kind would. */
  write(volume: OpenVolume, name: string, value: string): void | Promise<void>;
  read(volume: OpenVolume, name: string): string | Promise<string>;
  /** Where to search what really lies on the disk, given a locked volume's folder. */
  searchLocked(folder: string, needle: string): string[];
  clear(): void;
}

type SubjectWithDriver = VolumeSubject & { readonly driver: VolumeDriver };

const canary = "canary-7f3e-blue-heron-crosses-the-ledger";
const canaryName = "name-canary-51c2-otter";

/** The promises of every kind of volume. `make` gives a fresh subject, or the reason why this machine has none. */
export function volumeContract(kind: VolumeKind, make: () => VolumeSubject | string): void {
  const made = make();
  const subject = typeof made === "string" ? undefined : made;
  const skip = typeof made === "string" ? made : false;
  let count = 0;
  const test = (
    name: string,
    body: (subject: SubjectWithDriver, folder: string, dataKey: SecretBuffer) => Promise<void>,
  ) =>
    it(name, { skip }, async () => {
      assert.ok(subject);
      using dataKey = SecretBuffer.random(32);
      await using opened = new OpenedVolumes(await volumeDriver(kind));
      await body({ ...subject, driver: opened.driver }, join(subject.workFolder, `volume-${count++}`), dataKey);
    });

  describe(`${kind} volume`, () => {
    after(() => subject?.clear());

    test("keeps what was written across close and open", async ({ driver, write, read }, folder, dataKey) => {
      const description = await driver.create({ folder }, dataKey);
      const first = await driver.open({ folder }, dataKey);
      await write(first, canaryName, canary);
      await first.close();
      const second = await driver.open({ folder }, dataKey);
      assert.equal(await read(second, canaryName), canary);
      assert.deepEqual(second.description, description);
      await second.close();
      await second.close();
    });

    test("shows no canary in any file of the disk, where a plain copy does", async (subject, folder, dataKey) => {
      const { driver, write } = subject;
      await driver.create({ folder }, dataKey);
      const volume = await driver.open({ folder }, dataKey);
      await write(volume, canaryName, canary);
      if (subject.hidesNames) mkdirSync(join(volume.dataPath, `${canaryName}-folder`));
      await volume.close();
      assert.deepEqual(subject.searchLocked(folder, canary), []);
      if (subject.hidesNames) assert.deepEqual(subject.searchLocked(folder, canaryName), []);

      const plain = `${folder}-plain`;
      mkdirSync(plain);
      writeFileSync(join(plain, canaryName), canary, { flush: true });
      assert.notEqual(subject.searchLocked(plain, canary).length, 0);
      assert.notEqual(subject.searchLocked(plain, canaryName).length, 0);
      rmSync(plain, { recursive: true });
    });

    test("refuses a wrong data key and changes no byte", async ({ driver, write, read }, folder, dataKey) => {
      await driver.create({ folder }, dataKey);
      const volume = await driver.open({ folder }, dataKey);
      await write(volume, "kept", canary);
      await volume.close();
      const before = snapshot(folder);
      using wrong = SecretBuffer.random(32);
      await assert.rejects(driver.open({ folder }, wrong), { code: "VOLUME_WRONG_KEY", exitCode: 5 });
      await assert.rejects(driver.check({ folder }, wrong), { code: "VOLUME_WRONG_KEY" });
      assert.deepEqual(snapshot(folder), before);
      const again = await driver.open({ folder }, dataKey);
      assert.equal(await read(again, "kept"), canary);
      await again.close();
    });

    test("does not open under the key and header of another volume", async ({ driver }, folder, dataKey) => {
      await driver.create({ folder }, dataKey);
      using otherKey = SecretBuffer.random(32);
      await driver.create({ folder: `${folder}-b` }, otherKey);
      cpSync(join(`${folder}-b`, "volume.header"), join(folder, "volume.header"));
      await assert.rejects(driver.open({ folder }, dataKey), { code: "VOLUME_WRONG_KEY" });
    });

    test("refuses a header with any bit flipped, and any cut header", async ({ driver }, folder, dataKey) => {
      await driver.create({ folder }, dataKey);
      const path = join(folder, "volume.header");
      const header = readFileSync(path);
      const refused = { code: /^VOLUME_(WRONG_KEY|HEADER_INVALID|KIND_MISMATCH)$/ };
      const step = Math.max(1, Math.floor((header.length * 8) / scaled(4000)));
      for (let bit = seed % step; bit < header.length * 8; bit += step) {
        const flipped = Buffer.from(header);
        flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        writeFileSync(path, flipped);
        await assert.rejects(driver.open({ folder }, dataKey), refused, `bit ${bit}`);
      }
      for (const length of [0, 1, 6, 7, 60, header.length - 1]) {
        writeFileSync(path, header.subarray(0, length));
        await assert.rejects(driver.open({ folder }, dataKey), refused, `cut to ${length}`);
      }
      writeFileSync(path, Buffer.concat([header, Buffer.alloc(1)]));
      await assert.rejects(driver.open({ folder }, dataKey), refused, "one byte longer");
      writeFileSync(path, Buffer.alloc(1 << 20));
      await assert.rejects(driver.open({ folder }, dataKey), refused, "a megabyte of zeros");
      writeFileSync(path, header);
      await (await driver.open({ folder }, dataKey)).close();
    });

    test("is opened by one owner at a time", async ({ driver }, folder, dataKey) => {
      await driver.create({ folder }, dataKey);
      const volume = await driver.open({ folder }, dataKey);
      await assert.rejects(driver.open({ folder }, dataKey), { code: "VOLUME_ALREADY_OPEN" });
      await assert.rejects(driver.check({ folder }, dataKey), { code: "VOLUME_ALREADY_OPEN" });
      await assert.rejects(driver.close({ folder }), { code: "VOLUME_ALREADY_OPEN" });
      const status = await driver.status({ folder });
      assert.equal(status.state, "open");
      assert.equal(status.ownerPid, process.pid);
      await volume.close();
      await (await driver.open({ folder }, dataKey)).close();
    });

    test("tells absent, incomplete, locked and open apart without a key", async ({ driver }, folder, dataKey) => {
      assert.equal((await driver.status({ folder })).state, "absent");
      mkdirSync(folder);
      assert.equal((await driver.status({ folder })).state, "absent");
      writeFileSync(join(folder, "volume.creating"), "");
      assert.equal((await driver.status({ folder })).state, "incomplete");
      await assert.rejects(driver.open({ folder }, dataKey), { code: "VOLUME_INCOMPLETE" });
      const description = await driver.create({ folder }, dataKey);
      const locked = await driver.status({ folder });
      assert.equal(locked.state, "locked");
      assert.deepEqual(locked.description, description);
      await assert.rejects(driver.close({ folder }), { code: "VOLUME_NOT_OPEN" });
      const volume = await driver.open({ folder }, dataKey);
      assert.equal((await driver.status({ folder })).state, "open");
      await volume.close();
      assert.equal((await driver.status({ folder })).state, "locked");
    });

    test("is never made over a volume or a folder with files", async ({ driver }, folder, dataKey) => {
      mkdirSync(folder);
      writeFileSync(join(folder, "wallet.dat"), "precious");
      await assert.rejects(driver.create({ folder }, dataKey), { code: "VOLUME_PLACE_NOT_EMPTY", message: /wallet/ });
      assert.deepEqual(snapshot(folder).length, 1);
      rmSync(join(folder, "wallet.dat"));
      await driver.create({ folder }, dataKey);
      const before = snapshot(folder);
      await assert.rejects(driver.create({ folder }, dataKey), { code: "VOLUME_EXISTS" });
      assert.deepEqual(snapshot(folder), before);
    });

    test("starts an interrupted creation over, and two at once make one volume", async ({
      driver,
    }, folder, dataKey) => {
      mkdirSync(folder);
      writeFileSync(join(folder, "volume.creating"), "");
      writeFileSync(join(folder, "volume.header.tmp"), "half a header");
      mkdirSync(join(folder, "root"));
      mkdirSync(join(folder, "store"));
      const results = await Promise.allSettled([
        driver.create({ folder }, dataKey),
        driver.create({ folder }, dataKey),
      ]);
      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
      assert.ok(!existsSync(join(folder, "volume.creating")) && !existsSync(join(folder, "volume.header.tmp")));
      await (await driver.open({ folder }, dataKey)).close();
    });

    test("keeps the data of a volume whose creation was killed at its end and whose header was lost", async (subject, folder, dataKey) => {
      const { driver, write } = subject;
      await driver.create({ folder }, dataKey);
      writeFileSync(join(folder, "volume.creating"), "");
      assert.equal((await driver.status({ folder })).state, "locked");
      const volume = await driver.open({ folder }, dataKey);
      assert.ok(!existsSync(join(folder, "volume.creating")));
      await write(volume, "kept", canary);
      await volume.close();
      rmSync(join(folder, "volume.header"));
      const before = snapshot(folder);
      await assert.rejects(driver.create({ folder }, dataKey), { code: "VOLUME_PLACE_NOT_EMPTY" });
      assert.deepEqual(snapshot(folder), before);
    });

    test("refuses unknown parameters and suites before it makes anything", async ({ driver }, folder, dataKey) => {
      const invalid = { code: "VOLUME_PARAMETER_INVALID", exitCode: 2 };
      await assert.rejects(driver.create({ folder }, dataKey, { parameters: { colour: "blue" } }), invalid);
      for (const name of Object.keys(driver.parameters))
        await assert.rejects(driver.create({ folder }, dataKey, { parameters: { [name]: "\u0000" } }), invalid);
      if (!driver.suites.includes("sm"))
        await assert.rejects(driver.create({ folder }, dataKey, { suite: "sm" }), invalid);
      using short = SecretBuffer.random(15);
      await assert.rejects(driver.create({ folder }, short), RangeError);
      assert.ok(!existsSync(folder));
    });

    test("checks a locked volume and finds it sound", async ({ driver, write }, folder, dataKey) => {
      await driver.create({ folder }, dataKey);
      const volume = await driver.open({ folder }, dataKey);
      await write(volume, "some", canary);
      await volume.close();
      const before = snapshot(folder);
      const report = await driver.check({ folder }, dataKey);
      assert.ok(report.sound, JSON.stringify(report.findings));
      assert.deepEqual(snapshot(folder), before);
    });

    test("says that the store is damaged when it is gone", async ({ driver }, folder, dataKey) => {
      await driver.create({ folder }, dataKey);
      rmSync(join(folder, "root"), { recursive: true });
      rmSync(join(folder, "store"), { recursive: true, force: true });
      await assert.rejects(driver.open({ folder }, dataKey), { code: "VOLUME_STORE_DAMAGED", exitCode: 5 });
      await assert.rejects(driver.check({ folder }, dataKey), { code: "VOLUME_STORE_DAMAGED" });
      assert.ok(!existsSync(join(folder, "root")));
    });

    test("reports the process that keeps it busy, and closes once it is free", async (subject, folder, dataKey) => {
      const { driver } = subject;
      await driver.create({ folder }, dataKey);
      const volume = await driver.open({ folder }, dataKey);
      const file = join(volume.dataPath, "held");
      writeFileSync(file, "held");
      const held = openSync(file, "r");
      try {
        if (subject.knowsBusy) {
          await assert.rejects(volume.close({ patienceMs: 100 }), {
            code: "VOLUME_BUSY",
            message: new RegExp(`process ${process.pid} `),
          });
          assert.equal(await OwnerLock.isHeld(join(folder, "volume.lock")), true);
        }
      } finally {
        closeSync(held);
      }
      await volume.close();
      assert.equal((await driver.status({ folder })).state, "locked");
    });

    test("opens after its lock file was lost, as from a backup", async ({ driver }, folder, dataKey) => {
      await driver.create({ folder }, dataKey);
      rmSync(join(folder, "volume.lock"));
      await (await driver.open({ folder }, dataKey)).close();
    });

    test("never shows the data key in what it hands over, says or writes", async (subject, folder, dataKey) => {
      const { driver } = subject;
      const description = await driver.create({ folder }, dataKey);
      const volume = await driver.open({ folder }, dataKey);
      const hex = dataKey.expose((bytes) => bytes.toString("hex"));
      const raw = dataKey.expose((bytes) => bytes.toString("latin1"));
      for (const key of volume.programKeys) {
        const handed = key.value.expose((bytes) => bytes.toString("latin1"));
        assert.ok(!handed.includes(raw) && !handed.includes(hex));
      }
      assert.ok(!JSON.stringify([description, volume, await driver.status({ folder })]).includes(hex));
      const keys = volume.programKeys.map(({ value }) => value);
      await volume.close();
      assert.ok(keys.every((key) => key.disposed));
      assert.deepEqual(pathsHolding(folder, hex), []);
    });
  });
}
