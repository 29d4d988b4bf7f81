import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../../src/volume/drivers.ts";

const isRoot = process.getuid?.() === 0;
const skip = isRoot && existsSync("/dev/fuse") ? false : "only root can look into the server, which needs /dev/fuse";

/** The environment of the process that serves a store. */
function environmentOfServer(store: string): readonly string[] {
  for (const name of readdirSync("/proc"))
    try {
      const args = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
      if (args.includes(store) && args.some((arg) => arg.includes("sealfs/server")))
        return readFileSync(`/proc/${name}/environ`, "utf8").split("\0").filter(Boolean).sort();
    } catch {
      // No process, or one that has ended.
    }
  throw new Error(`nobody serves ${store}`);
}

describe("the environment of a sealfs volume's server", { skip }, () => {
  const fixed = ["LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
  const { NODE_COMPILE_CACHE: given } = process.env;
  afterEach(() => {
    delete process.env.STRONGROOM_TEST_CANARY;
    if (given === undefined) delete process.env.NODE_COMPILE_CACHE;
    else process.env.NODE_COMPILE_CACHE = given;
  });

  it("names where compiled code is kept, if ours does, and has nothing else of ours", async () => {
    const folder = mkdtempSync(join(tmpdir(), "strongroom-environment-"));
    const place = { folder: join(folder, "volume") };
    const compiledCode = join(folder, "compiled");
    using dataKey = SecretBuffer.random(32);
    const driver = await volumeDriver("sealfs");
    const environmentNow = async (): Promise<readonly string[]> => {
      const open = await driver.open(place, dataKey);
      try {
        return environmentOfServer(join(place.folder, "store"));
      } finally {
        await open.close();
      }
    };
    try {
      process.env.STRONGROOM_TEST_CANARY = "not for the server";
      await driver.create(place, dataKey);
      delete process.env.NODE_COMPILE_CACHE;
      assert.deepEqual(await environmentNow(), fixed);
      process.env.NODE_COMPILE_CACHE = compiledCode;
      assert.deepEqual(await environmentNow(), [...fixed, `NODE_COMPILE_CACHE=${compiledCode}`].sort());
      assert.notDeepEqual(readdirSync(compiledCode), []);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
