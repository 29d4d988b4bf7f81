import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { InstanceInTest, skip } from "../instance/served-instance.ts";

const smallMiB = 24;
const largeMiB = 256;
const valueBytes = 30_000;
const mostWrites = 4000;

function mount(...args: readonly string[]): void {
  const { status, stderr } = spawnSync("mount", args, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
}

describe("an instance whose disk is full", { skip }, () => {
  let instance: InstanceInTest;
  before(async () => {
    instance = await InstanceInTest.make();
    mkdirSync(instance.data);
    mount("-t", "tmpfs", "-o", `size=${smallMiB}m,mode=0700`, "tmpfs", instance.data);
    await instance.start();
    await instance.query("CREATE DATABASE enc WITH ENCRYPTION ON");
  });
  after(async () => {
    await instance.end();
    spawnSync("umount", ["-l", instance.data]);
    await instance.remove();
  });

  it("refuses writes, and has each point that it acknowledged when there is room again", async () => {
    const acknowledged: number[] = [];
    const write = async (value: number): Promise<number> => {
      const line = `m v=${value}i,s="${randomBytes(valueBytes / 2).toString("hex")}" ${1_700_438_400 + value}000000000`;
      return instance.write("enc", line);
    };
    let refused = 0;
    for (let value = 1; value <= mostWrites && refused < 3; value++)
      if ((await write(value)) === 204) acknowledged.push(value);
      else refused += 1;
    assert.ok(refused === 3 && acknowledged.length > 0, `${acknowledged.length} acknowledged, ${refused} refused`);

    mount("-o", `remount,size=${largeMiB}m`, instance.data);
    const stored = async (): Promise<readonly number[]> => {
      const text = await instance.query("SELECT v FROM enc..m");
      return [...text.matchAll(/\["[^"]*",(\d+)\]/g)].map((match) => Number(match[1]));
    };
    const mustHave = async (when: string): Promise<void> => {
      const there = new Set(await stored());
      assert.deepEqual(
        acknowledged.filter((value) => !there.has(value)),
        [],
        when,
      );
    };
    await mustHave("when there is room");
    await instance.end();
    await instance.start();
    await mustHave("after a start");
    assert.equal(await write(mostWrites + 1), 204);
    assert.doesNotMatch(instance.output, /damaged/);
  });

  it("is backed up or restored to no full disk: it says so, and neither backup nor instance is left there", async () => {
    await instance.end();
    const [tiny, whole] = [join(instance.folder, "tiny"), join(instance.folder, "whole.srdb")];
    const config = ["--config", instance.config];
    assert.equal((await instance.run(["backup", ...config, whole])).exitCode, 0);
    mkdirSync(tiny);
    mount("-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", tiny);
    try {
      for (const [args, message] of [
        [
          ["backup", ...config, join(tiny, "b.srdb")],
          /tiny\/b\.srdb cannot be written: ENOSPC\nstrongroom: hint: make room there/,
        ],
        [["restore", ...config, "--data", join(tiny, "restored"), whole], /error: .*ENOSPC/],
      ] as const) {
        const { exitCode, output } = await instance.run(args);
        assert.equal(exitCode, 1, output);
        assert.match(output, message);
      }
      assert.ok(!readdirSync(tiny).some((name) => name.startsWith("b.srdb")));
      const { output } = await instance.run(["status", ...config, "--data", join(tiny, "restored")]);
      assert.match(output, /there is no database instance/);
    } finally {
      spawnSync("umount", ["-l", tiny]);
    }
  });
});
