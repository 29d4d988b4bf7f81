import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The process that serves the sealfs volume in a folder. */
export function sealfsServerPid(volumeFolder: string): number {
  const store = join(volumeFolder, "store");
  const pid = readdirSync("/proc").find((name) => {
    if (!/^[0-9]+$/.test(name)) return false;
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
      return words[1]?.endsWith("/sealfs/server/main.ts") === true && words.includes(store);
    } catch {
      return false;
    }
  });
  assert.ok(pid, "the server runs");
  return Number(pid);
}
