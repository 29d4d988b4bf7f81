import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { ChangeableKeyHolder } from "../../../../src/database/holder/changeable-holder.ts";
import type { OpenedKeyHolder } from "../../../../src/database/holder/opened-holder.ts";
import { rotateMaster } from "../../../../src/database/holder/rotate-master.ts";
import {
  type InstancePaths,
  instanceFileNames,
  instancePaths,
} from "../../../../src/database/instance/instance-folder.ts";
import { envelopInstanceKey, writeInstanceEnvelope } from "../../../../src/database/instance/instance-key.ts";
import { findInstanceKey } from "../../../../src/database/instance/settle-key.ts";
import { volumeDriver } from "../../../../src/volume/drivers.ts";
import { connectSealfsControl } from "../../../../src/volume/sealfs/control/client.ts";
import type { OpenVolume } from "../../../../src/volume/volume.ts";
import { long, seed } from "../../../run-settings.ts";
import { holderOfFile, writeKeyPair } from "./test-holders.ts";

const within = mkdtempSync(join(tmpdir(), "strongroom-rotation-"));
after(() => rmSync(within, { recursive: true, force: true }));
const [oldFile, newFile] = [join(within, "old"), join(within, "new")];
const [oldKey, newKey] = [writeKeyPair(oldFile), writeKeyPair(newFile)];
const skip = !existsSync("/dev/fuse") && "there is no /dev/fuse here";
const metadataKey = { in: "master" } as const;
const driver = await volumeDriver("sealfs");

function settingsFile(): string {
  const file = join(mkdtempSync(join(within, "settings-")), "strongroom.toml");
  writeFileSync(
    file,
    `[security.encryption]\nprovider = "gm-soft"\npublic-key = "${oldKey.publicKey.toString("hex")}"\n`,
  );
  return file;
}

/** A new instance under the old key, with its instance key under the master key alone, and three shards. */
async function makeInstance(): Promise<InstancePaths> {
  const paths = instancePaths(mkdtempSync(join(within, "instance-")));
  using key = SecretBuffer.random(32);
  await using holder = await holderOfFile(oldFile);
  writeInstanceEnvelope(paths.envelopeFile, envelopInstanceKey(key, oldKey.publicKey));
  await driver.create({ folder: paths.folder }, key, {
    suite: "sm",
    zones: { rules: [{ pattern: "data/shards/*", becomes: "sealed" }], ownZone: "table-sealed", keyHolder: holder },
    besides: instanceFileNames,
  });
  await served(paths, await holderOfFile(oldFile), async ({ dataPath }) => {
    for (const shard of ["1", "2", "3"]) {
      await mkdir(join(dataPath, "shards", shard), { recursive: true });
      await writeFile(join(dataPath, "shards", shard, "points"), `points of ${shard}`);
    }
  });
  return paths;
}

async function served<T>(
  paths: InstancePaths,
  owned: OpenedKeyHolder,
  use: (volume: OpenVolume) => Promise<T>,
): Promise<T> {
  await using holder = owned;
  using key = await findInstanceKey({ paths, metadataKey, holder });
  const volume = await driver.open({ folder: paths.folder }, key, { keyHolder: holder });
  try {
    return await use(volume);
  } finally {
    await volume.close({ whenBusy: "cutOff" });
  }
}

async function mustReadAll({ dataPath }: OpenVolume): Promise<void> {
  for (const shard of ["1", "2", "3"])
    assert.equal(await readFile(join(dataPath, "shards", shard, "points"), "utf8"), `points of ${shard}`);
}

function runProgram(paths: InstancePaths, settings: string, killedAt: number) {
  const program = join(import.meta.dirname, "rotating-instance.ts");
  const child = spawn(process.execPath, [program, paths.folder, oldFile, newFile, settings], {
    env: { ...process.env, KILLED_AT: String(killedAt) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (piece) => (text[name] += piece));
  return new Promise<{ signal: NodeJS.Signals | null; code: number | null; stdout: string; stderr: string }>(
    (resolve) => child.on("close", (code, signal) => resolve({ code, signal, ...text })),
  );
}

describe("a change of the master key of a running instance", { skip }, () => {
  it("goes on while programs read and write, and the former key opens nothing afterwards", async () => {
    const paths = await makeInstance();
    const settings = settingsFile();
    const holder = new ChangeableKeyHolder(await holderOfFile(oldFile));
    await served(paths, holder, async (volume) => {
      await using control = await connectSealfsControl({ folder: paths.folder });
      let made = 3;
      const writing: Promise<unknown>[] = [];
      const onStep = () => {
        made += 1;
        const shard = join(volume.dataPath, "shards", String(made));
        writing.push(mkdir(shard).then(() => writeFile(join(shard, "points"), `points of ${made}`)));
        writing.push(mustReadAll(volume));
      };
      const to = { file: settings, privateKeyFile: undefined, pincodeFile: undefined };
      const { publicKey } = await rotateMaster({ paths, control, holder, onStep }, await holderOfFile(newFile), to);
      assert.equal(publicKey, newKey.publicKey.toString("hex"));
      await Promise.all(writing);
      await mkdir(join(volume.dataPath, "shards", "after"));
      assert.equal((await control.keys()).publicKey, publicKey);
    });
    assert.match(readFileSync(settings, "utf8"), new RegExp(newKey.publicKey.toString("hex")));
    for (const gone of [paths.rotationFile, paths.nextEnvelopeFile, join(paths.folder, "store/keys.previous")])
      assert.equal(existsSync(gone), false, gone);
    await assert.rejects(
      served(paths, await holderOfFile(oldFile), async () => {}),
      { code: "MASTER_KEY_MISMATCH" },
    );
    await served(paths, await holderOfFile(newFile), async (volume) => {
      await mustReadAll(volume);
      assert.equal(existsSync(paths.nextEnvelopeFile), false);
    });
  });

  it("is refused for the key in force, with nothing changed", async () => {
    const paths = await makeInstance();
    const holder = new ChangeableKeyHolder(await holderOfFile(oldFile));
    await served(paths, holder, async (volume) => {
      await using control = await connectSealfsControl({ folder: paths.folder });
      await assert.rejects(rotateMaster({ paths, control, holder }, await holderOfFile(oldFile), undefined), {
        code: "SETTINGS_INVALID",
      });
      await mustReadAll(volume);
    });
  });

  it("is given up, with the former key in force, when the new one does not open what was made for it", async () => {
    const paths = await makeInstance();
    const holder = new ChangeableKeyHolder(await holderOfFile(oldFile));
    await served(paths, holder, async (volume) => {
      await using control = await connectSealfsControl({ folder: paths.folder });
      await using foreign = await holderOfFile(oldFile);
      const false_ = { publicKey: newKey.publicKey, unwrap: foreign.unwrap, [Symbol.asyncDispose]: async () => {} };
      await assert.rejects(rotateMaster({ paths, control, holder }, false_, undefined), { code: "ENVELOPE_REFUSED" });
      assert.equal((await control.keys()).publicKey, oldKey.publicKey.toString("hex"));
      await mustReadAll(volume);
    });
    await served(paths, await holderOfFile(oldFile), mustReadAll);
  });

  describe("killed", () => {
    let steps = 0;
    before(async () => {
      const { code, stdout, stderr } = await runProgram(await makeInstance(), settingsFile(), 0);
      assert.equal(code, 0, stderr);
      steps = JSON.parse(stdout).steps;
    });

    it("at any step leaves the instance under one key, whole, and the next start completes it", async () => {
      const all = Array.from({ length: steps }, (_, at) => at + 1);
      for (const killedAt of long ? all : all.filter((step) => step % 3 === seed % 3)) {
        const paths = await makeInstance();
        const settings = settingsFile();
        const killed = await runProgram(paths, settings, killedAt);
        assert.equal(killed.signal, "SIGKILL", killed.stderr);
        const again = await runProgram(paths, settings, 0);
        assert.equal(again.code, 0, `killed at step ${killedAt}: ${again.stderr}`);
        assert.equal(JSON.parse(again.stdout).publicKey, newKey.publicKey.toString("hex"));
        assert.match(readFileSync(settings, "utf8"), new RegExp(newKey.publicKey.toString("hex")));
        await served(paths, await holderOfFile(newFile), mustReadAll);
        assert.equal(existsSync(paths.rotationFile), false, `step ${killedAt}`);
      }
    });
  });
});
