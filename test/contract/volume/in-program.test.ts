import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
      driver: volumeDriver(kind),
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
