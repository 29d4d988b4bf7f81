import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Ext4Image {
  readonly image: string;
  readonly mountPoint: string;
  /** Unmounts it and removes image and mount point. Safe to call twice. */
  remove(): void;
}

const imageBytes = 64 << 20;

/** A small ext4 in a file, mounted through a loop device; the reason as text when this machine cannot. */
export function mountExt4(features: string): Ext4Image | string {
  if (process.getuid?.() !== 0) return "mounting a loop device needs root";
  const folder = mkdtempSync(join(tmpdir(), "strongroom-ext4-"));
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
      if (spawnSync("umount", [mountPoint]).status !== 0) spawnSync("umount", ["-l", mountPoint]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
