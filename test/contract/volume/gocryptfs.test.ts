import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { readMounts } from "../../../src/volume/mounts.ts";
import { pathsHolding } from "./backing-search.ts";
import { transparent } from "./transparent-subject.ts";
import { volumeContract } from "./volume-contract.ts";

volumeContract("gocryptfs", () => {
  if (!existsSync("/dev/fuse")) return "this machine has no /dev/fuse";
  if (!existsSync("/usr/bin/gocryptfs")) return "gocryptfs is not installed";
  if (!existsSync("/usr/bin/fusermount3")) return "fuse3 is not installed";
  const workFolder = mkdtempSync(join(tmpdir(), "strongroom-gocryptfs-"));
  return {
    ...transparent,
    driver: volumeDriver("gocryptfs"),
    workFolder,
    searchLocked: pathsHolding,
    clear() {
      for (const { mountPoint } of readMounts().filter((mount) => mount.mountPoint.startsWith(`${workFolder}/`)))
        spawnSync("fusermount3", ["-u", "-z", "--", mountPoint]);
      rmSync(workFolder, { recursive: true, force: true });
    },
  };
});
