import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { EncryptedLevel } from "../../../src/level/index.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { handOverKey } from "../../../src/volume/key-handover.ts";
import type { OpenVolume } from "../../../src/volume/volume.ts";
import { pathsHolding } from "./backing-search.ts";
import { volumeContract } from "./volume-contract.ts";

const program = join(import.meta.dirname, "self-encrypting-program.ts");

async function run(volume: OpenVolume, ...args: readonly string[]): Promise<string> {
  const [key] = volume.programKeys;
  assert.ok(key);
  const handover = await handOverKey(key);
  assert.notEqual(handover.fd, undefined);
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    stdio: ["ignore", "pipe", "pipe", handover.fd ?? "ignore"],
    encoding: "utf8",
  });
  handover.wipe();
  assert.equal(status, 0, stderr);
  return stdout;
}

for (const kind of ["level", "native"] as const) {
  volumeContract(kind, () => {
    const workFolder = mkdtempSync(join(tmpdir(), `strongroom-${kind}-`));
    return {
      workFolder,
      hidesNames: false,
      knowsBusy: false,
      async write(volume, name, value) {
        await run(volume, "put", volume.dataPath, name, value);
      },
      read: (volume, name) => run(volume, "get", volume.dataPath, name),
      searchLocked: pathsHolding,
      clear: () => rmSync(workFolder, { recursive: true, force: true }),
    };
  });
}

for (const suite of ["intl", "sm"] as const)
  it(`a level volume hands over a key that an encrypted database of suite ${suite} takes`, async () => {
    const workFolder = mkdtempSync(join(tmpdir(), "strongroom-level-key-"));
    try {
      const folder = join(workFolder, "volume");
      using dataKey = SecretBuffer.random(32);
      const driver = await volumeDriver("level");
      await driver.create({ folder }, dataKey, { suite });
      for (const expected of [undefined, "value"]) {
        const volume = await driver.open({ folder }, dataKey);
        const [key] = volume.programKeys;
        assert.ok(key);
        const handover = await handOverKey(key);
        using handed = SecretBuffer.take(readFileSync(handover.fd ?? -1));
        handover.wipe();
        const level = new EncryptedLevel(join(volume.dataPath, "db"), { dataKey: handed, suite });
        await level.open();
        assert.equal(await level.get("name"), expected);
        await level.put("name", "value");
        await level.close();
        await volume.close();
      }
    } finally {
      rmSync(workFolder, { recursive: true, force: true });
    }
  });
