import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import { volumeDriver } from "../../../../../src/volume/drivers.ts";
import { connectSealfsControl } from "../../../../../src/volume/sealfs/control/client.ts";
import { resealed, ServedVolume, skip } from "./served-volume.ts";

const rules = [{ pattern: "data/*", becomes: "table-sealed" }] as const;
const ENOKEY = 126;

function socketOf(folder: string): Socket {
  const socket = connect({ path: join(folder, "volume.control") });
  socket.on("error", () => {});
  socket.resume();
  return socket;
}

function lineOf(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    socket.on("data", (piece: Buffer) => {
      text += piece.toString();
      if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
    });
    socket.once("close", () => reject(new Error("closed")));
  });
}

describe("the control of a served sealfs volume", { skip }, () => {
  it("changes rules for folders that are made from then on, and tells of the zones", async (t) => {
    const served = await ServedVolume.create(t, { rules });
    const data = await served.open();
    const control = await served.control();
    assert.deepEqual(await control.rules(), rules);
    await mkdir(join(data, "one"));
    await control.setRules([...rules, { pattern: "data/two", becomes: "plain" }]);
    await mkdir(join(data, "two"));
    await writeFile(join(data, "two/file"), "plain");
    const zones = (await control.keys()).zones.map(({ path, protection }) => `${path} ${protection}`);
    assert.deepEqual(zones, ["/ table-sealed", "/data/one table-sealed", "/data/two plain"]);
    await assert.rejects(control.setRules([{ pattern: "a//b", becomes: "plain" }]), { code: "RULE_INVALID" });
    assert.equal((await control.rules()).length, 2);
  });

  it("takes ten thousand rules", async (t) => {
    const served = await ServedVolume.create(t, {});
    await served.open();
    const control = await served.control();
    const many = Array.from({ length: 10_000 }, (_, at) => ({ pattern: `data/d${at}/*/*`, becomes: "plain" as const }));
    await control.setRules(many);
    assert.deepEqual(await control.rules(), many);
  });

  it("destroys a zone: what lies in it is gone for good, the rest is not", async (t) => {
    const served = await ServedVolume.create(t, { rules });
    let data = await served.open();
    for (const zone of ["kept", "gone"]) {
      await mkdir(join(data, zone));
      await writeFile(join(data, zone, "file"), zone);
    }
    let control = await served.control();
    await control.destroyZone("data/gone");
    await control.destroyZone("data/gone");
    await assert.rejects(control.destroyZone("data/nowhere"), { code: "ZONE_ABSENT" });
    await assert.rejects(writeFile(join(data, "gone/new"), "more"), { errno: -ENOKEY });
    await served.close();
    data = await served.open();
    control = await served.control();
    await assert.rejects(readFile(join(data, "gone/file")), { errno: -ENOKEY });
    assert.equal(await readFile(join(data, "kept/file"), "utf8"), "kept");
  });

  it("rotates a zone, seals its files anew, and destroys the old generation only when nothing lies under it", async (t) => {
    const served = await ServedVolume.create(t, { rules });
    let data = await served.open();
    await mkdir(join(data, "zone"));
    const content = randomBytes(1_500_000);
    await writeFile(join(data, "zone/large"), content);
    await mkdir(join(data, "zone/below"));
    for (let at = 0; at < 20; at += 1) await writeFile(join(data, `zone/below/${at}`), `file ${at}`);
    let control = await served.control();
    const unnamed = await open(join(data, "zone/unnamed"), "w+");
    await unnamed.write("a file without a name");
    await rm(join(data, "zone/unnamed"));
    await control.setResealingRate(0);
    assert.deepEqual(await control.rotate("data/zone"), { generation: 2 });
    await writeFile(join(data, "zone/new"), "under the new generation");
    await assert.rejects(control.destroyGeneration("data/zone", 1), { code: "GENERATION_IN_USE" });
    await assert.rejects(control.destroyGeneration("data/zone", 2), { code: "GENERATION_IN_USE" });
    await assert.rejects(control.destroyGeneration("data/zone", 3), { code: "GENERATION_ABSENT" });
    await assert.rejects(control.rotate("data/nowhere"), { code: "ZONE_ABSENT" });
    await control.setResealingRate(1 << 30);
    await resealed(control);
    await control.destroyGeneration("data/zone", 1);
    const zone = (await control.keys()).zones.find(({ path }) => path === "/data/zone");
    assert.deepEqual(
      zone?.generations.map(({ generation, state }) => [generation, state]),
      [[2, "active"]],
    );
    assert.ok((zone?.generations[0]?.sealedBytes ?? 0) > content.length);
    assert.equal((await unnamed.read(Buffer.alloc(100), 0, 100, 0)).buffer.toString("utf8", 0, 6), "a file");
    await unnamed.close();
    await served.close();
    data = await served.open();
    control = await served.control();
    assert.ok((await readFile(join(data, "zone/large"))).equals(content));
    assert.equal(await readFile(join(data, "zone/below/7"), "utf8"), "file 7");
    await served.close();
    const report = await (await volumeDriver("sealfs")).check({ folder: served.folder }, served.dataKey);
    assert.deepEqual(
      report.findings.filter(({ ok }) => !ok),
      [],
    );
  });

  it("counts files that are moved while a zone is checked", async (t) => {
    const served = await ServedVolume.create(t, { rules });
    const data = await served.open();
    for (const folder of ["zone", "zone/a", "zone/z"]) await mkdir(join(data, folder));
    for (let at = 0; at < 60; at += 1) await writeFile(join(data, `zone/z/${at}`), randomBytes(20_000));
    const control = await served.control();
    await control.setResealingRate(0);
    await control.rotate("data/zone");
    const refused = assert.rejects(control.destroyGeneration("data/zone", 1), { code: "GENERATION_IN_USE" });
    for (let at = 0; at < 60; at += 1) await rename(join(data, `zone/z/${at}`), join(data, `zone/a/${at}`));
    await refused;
  });

  it("sweeps zones whose folders are gone, and leaves the others", async (t) => {
    const served = await ServedVolume.create(t, { rules });
    const data = await served.open();
    for (const zone of ["one", "two"]) await mkdir(join(data, zone));
    const control = await served.control();
    await rm(join(data, "one"), { recursive: true });
    assert.deepEqual(await control.sweep(), []);
    assert.deepEqual(
      (await control.keys()).zones.map(({ path }) => path),
      ["/", "/data/two"],
    );
  });

  it("syncs, and tells what was found", async (t) => {
    const served = await ServedVolume.create(t, {});
    await served.open();
    const control = await served.control();
    await control.sync();
    assert.deepEqual(await control.findings(), { count: 0, latest: [] });
  });

  it("is there for this user alone, while the volume is open", async (t) => {
    const served = await ServedVolume.create(t, {});
    await assert.rejects(connectSealfsControl({ folder: served.folder }), { code: "VOLUME_NOT_OPEN" });
    await assert.rejects(connectSealfsControl({ folder: `${served.folder}/none` }), { code: "VOLUME_NOT_OPEN" });
    await served.open();
    const path = join(served.folder, "volume.control");
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const control = await connectSealfsControl({ folder: served.folder });
    await served.close();
    assert.ok(!existsSync(path));
    await assert.rejects(control.keys(), { code: "VOLUME_NOT_OPEN" });
  });

  it("serves two who ask at once, each with its own answers", async (t) => {
    const served = await ServedVolume.create(t, { rules });
    await served.open();
    const [one, two] = [await served.control(), await served.control()];
    const asked: Promise<unknown>[] = [];
    for (let at = 0; at < 50; at += 1)
      asked.push(
        one.rules().then((found) => assert.deepEqual(found, rules)),
        two.resealing().then(({ state }) => assert.equal(state, "idle")),
        two.findings().then(({ count }) => assert.equal(count, 0)),
      );
    await Promise.all(asked);
  });

  it("goes on serving files and others beside one who reads no answers", async (t) => {
    const served = await ServedVolume.create(t, {});
    const data = await served.open();
    const control = await served.control();
    const many = Array.from({ length: 5000 }, (_, at) => ({ pattern: `data/d${at}`, becomes: "plain" as const }));
    await control.setRules(many);
    const deaf = socketOf(served.folder);
    deaf.pause();
    deaf.write('{"method":"rules","parameters":{}}\n'.repeat(200));
    for (let at = 0; at < 20; at += 1) {
      await writeFile(join(data, "file"), String(at));
      assert.equal((await control.resealing()).state, "idle");
    }
    deaf.destroy();
    assert.equal((await control.rules()).length, 5000);
  });

  it("answers what is no request with a refusal, and ends of none", async (t) => {
    const served = await ServedVolume.create(t, { rules });
    const data = await served.open();
    const control = await served.control();
    const bad = [
      "",
      "x",
      "null",
      "[]",
      "{}",
      '{"method":"keys"}',
      '{"method":"keys","parameters":[]}',
      '{"method":"keys","parameters":{"more":1}}',
      '{"method":"keys","parameters":{},"more":1}',
      '{"method":"constructor","parameters":{}}',
      '{"method":"__proto__","parameters":{}}',
      '{"method":"rotate","parameters":{"zone":7}}',
      `{"method":"rotate","parameters":{"zone":"${"x".repeat(5000)}"}}`,
      '{"method":"destroyGeneration","parameters":{"zone":"","generation":0}}',
      '{"method":"setResealingRate","parameters":{"bytesPerSecond":-1}}',
      '{"method":"setResealingRate","parameters":{"bytesPerSecond":1e99}}',
      '{"method":"setRules","parameters":{"rules":[{"pattern":"a","becomes":"open"}]}}',
      '{"method":"beginRekey","parameters":{"publicKey":"BAAA"}}',
      '{"method":"waitingKeys","parameters":{"most":2049}}',
      '{"method":"stageKeys","parameters":{"made":[{"zone":"xx","generation":1,"envelope":"AA=="}]}}',
      "[".repeat(100_000),
    ];
    for (const line of bad) {
      const socket = socketOf(served.folder);
      const answer = lineOf(socket);
      socket.write(`${line}\n`);
      assert.match(await answer, /^\{"error":\{"code":"REQUEST_INVALID"/, line.slice(0, 80));
      socket.destroy();
    }
    for (let at = 0; at < 20; at += 1) {
      const socket = socketOf(served.folder);
      socket.end(randomBytes(200_000));
      await new Promise((resolve) => socket.once("close", resolve));
    }
    const endless = socketOf(served.folder);
    endless.write(Buffer.alloc(9 * 1024 * 1024, 0x61));
    await new Promise((resolve) => endless.once("close", resolve));
    await assert.rejects(control.waitingKeys(10), { code: "REKEY_INCOMPLETE" });
    await assert.rejects(control.finishRekey({}), { code: "REKEY_INCOMPLETE" });
    await assert.rejects(control.beginRekey(Buffer.alloc(65, 4)), { code: /VOLUME_/ });
    await writeFile(join(data, "file"), "served on");
    assert.deepEqual(await control.rules(), rules);
  });
});
