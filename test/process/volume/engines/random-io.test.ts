import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../../src/volume/drivers.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { run } from "./processes.ts";

const program = join(import.meta.dirname, "random-io-program.ts");
const missing = ["/dev/fuse", "/usr/bin/fusermount3"].find((path) => !existsSync(path));
const skip = missing === undefined ? false : `this machine has no ${missing}`;
const rounds = 3;

describe("a file on a sealfs volume", { skip }, () => {
  for (const [suite, blockSize] of [
    ["intl", "4096"],
    ["sm", "16384"],
    ["intl", "65536"],
  ] as const)
    it(`holds what was written, mapped, cut and punched at random, in blocks of ${blockSize}, past 4 GiB and closings`, async () => {
      const folder = mkdtempSync(join(tmpdir(), "strongroom-random-io-"));
      try {
        const driver = await volumeDriver("sealfs");
        using dataKey = SecretBuffer.random(32);
        await driver.create({ folder: join(folder, "volume") }, dataKey, { suite, parameters: { blockSize } });
        for (let round = 0; round < rounds; round++) {
          const volume = await driver.open({ folder: join(folder, "volume") }, dataKey);
          const args = [join(volume.dataPath, "file"), seed, scaled(4000), round].map(String);
          try {
            assert.equal(await run(process.execPath, [program, ...args]), "same\n");
          } finally {
            await volume.close({ whenBusy: "cutOff" });
          }
        }
        assert.ok((await driver.check({ folder: join(folder, "volume") }, dataKey)).sound);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
});
