import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { TemporaryFolder } from "../../running-server.ts";
import { skip } from "./served-instance.ts";

const cli = new URL("../../../../src/cli/main.ts", import.meta.url).pathname;

/** What a start says that ends for want of influxd, on a machine with these areas of swap. */
function startWith(areas: string): string {
  using folder = new TemporaryFolder();
  const swaps = join(folder.path, "swaps");
  writeFileSync(swaps, `Filename\tType\tSize\tUsed\tPriority\n${areas}`);
  const serve = [cli, "db", "serve", "--data", join(folder.path, "data"), "--influxd", join(folder.path, "none")];
  const underSwaps = [
    "-m",
    "sh",
    "-c",
    'mount --bind "$0" /proc/swaps && exec "$@"',
    swaps,
    process.execPath,
    ...serve,
  ];
  return spawnSync("unshare", underSwaps, { encoding: "utf8" }).stderr;
}

describe("strongroom db serve, on a machine with swap", { skip }, () => {
  it("warns that what influxd holds in memory can come to a disk in plain, and goes on", () => {
    const said = startWith("/swapfile file 1000 0 -2\n");
    assert.match(said, /warning: swap: \/swapfile: .* in plain; turn swap off/);
    assert.match(said, /not a program that can be started/);
  });

  it("says nothing of swap where there is none", () => {
    const said = startWith("");
    assert.doesNotMatch(said, /swap/);
    assert.match(said, /not a program that can be started/);
  });
});
