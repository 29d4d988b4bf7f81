import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mountAt } from "../../../src/volume/mounts.ts";
import { processLives } from "../../../src/volume/owner-lock.ts";

export interface Ext4Image {
  readonly image: string;
  readonly mountPoint: string;
  /** Unmounts it and removes image and mount point. Safe to call twice. */
  remove(): void;
}

const imageBytes = 64 << 20;
const prefix = "strongroom-ext4-";

/** A small ext4 in a file, mounted through a loop device; the reason as text when this machine cannot. */
export function mountExt4(features: string): Ext4Image | string {
  if (process.getuid?.() !== 0) return "mounting a loop device needs root";
  removeLeftovers();
  const folder = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
  const [image, mountPoint] = [join(folder, "image"), join(folder, "mounted")];
  writeFileSync(image, "");
  truncateSync(image, imageBytes);
  mkdirSync(mountPoint);
  for (const [command, ...args] of [
    ["mkfs.ext4", "-q", "-O", features, image],
    ["mount", "-o", "loop", image, mountPoint],
  ] as const) {
    const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
    if (status !== 0) {
      rmSync(folder, { recursive: true, force: true });
      return `${command} failed on this machine: ${(error?.message ?? stderr).trim()}`;
    }
  }
  let mounted = true;
  return {
    image,
    mountPoint,
    remove() {
      if (!mounted) return;
      mounted = false;
      removeImage(folder);
    },
  };
}

function removeImage(folder: string): void {
  const mountPoint = join(folder, "mounted");
  if (mountAt(mountPoint) !== undefined && spawnSync("umount", [mountPoint]).status !== 0)
    spawnSync("umount", ["-l", mountPoint]);
  rmSync(folder, { recursive: true, force: true });
}

/** What a test run that was killed left mounted. */
function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(prefix)))
    if (!processLives(Number(name.slice(prefix.length).split("-")[0]))) removeImage(join(tmpdir(), name));
}
