import { unescapeOctal } from "./mounts.ts";
import type { SystemFiles } from "./system-files.ts";
import type { Finding } from "./volume.ts";

export interface SwapArea {
  readonly path: string;
  readonly type: "partition" | "file";
  readonly sizeKiB: number;
}

/**
 * The areas of /proc/swaps (proc(5)): a heading, then path, type, size, used and priority a line, white space between.
 * A line of another form counts as an area that is not understood, so that it is reported and not passed over.
 */
export function parseSwaps(text: string): SwapArea[] {
  return text
    .split("\n")
    .slice(1)
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [path = "", type = "", size = ""] = line.trim().split(/\s+/);
      return {
        path: unescapeOctal(path),
        type: type === "file" ? "file" : "partition",
        sizeKiB: /^[0-9]+$/.test(size) ? Number(size) : 0,
      };
    });
}

/** Whether memory that is swapped out could be read from a disk: swap is off, in memory (zram), or on dm-crypt. */
export function checkSwap(files: SystemFiles): Finding {
  const text = files.read("/proc/swaps");
  const remedy = "turn swap off, as root: swapoff -a, and remove it from /etc/fstab; or put it on dm-crypt";
  if (text === undefined) return { check: "swap", ok: false, detail: "/proc/swaps cannot be read", remedy };
  const areas = parseSwaps(text);
  if (areas.length === 0) return { check: "swap", ok: true, detail: "off" };
  const judged = areas.map((area) => ({ area, judgement: judgeArea(area, files) }));
  const detail = judged.map(({ area, judgement }) => `${area.path}: ${judgement.detail}`).join("; ");
  const ok = judged.every(({ judgement }) => judgement.ok);
  return { check: "swap", ok, detail, ...(ok ? {} : { remedy }) };
}

interface Judgement {
  readonly ok: boolean;
  readonly detail: string;
}

function judgeArea(area: SwapArea, files: SystemFiles): Judgement {
  const device = files.deviceOf(area.path);
  const block = device === undefined ? undefined : blockName(device, files);
  if (block === undefined) return { ok: false, detail: "its device is not known, so it counts as unencrypted" };
  const zram = /^zram[0-9]+$/.test(block) && area.type === "partition";
  if (zram) {
    const backing = files.read(`/sys/block/${block}/backing_dev`)?.trim() ?? "none";
    return backing === "none"
      ? { ok: true, detail: "compressed memory (zram)" }
      : { ok: false, detail: `zram that writes back to ${backing}` };
  }
  return liesOnCrypt(block, files, 0)
    ? { ok: true, detail: "encrypted (dm-crypt)" }
    : { ok: false, detail: `an unencrypted ${area.type} on ${block}` };
}

/** The kernel's name of a block device: `sda2`, `dm-0`, `zram0`. */
function blockName(device: string, files: SystemFiles): string | undefined {
  return /^DEVNAME=(.+)$/m.exec(files.read(`/sys/dev/block/${device}/uevent`) ?? "")?.[1];
}

const maxStackedDevices = 8;

/** True for a dm-crypt device, and for one (LVM, RAID) that lies on nothing but such devices. */
function liesOnCrypt(block: string, files: SystemFiles, depth: number): boolean {
  if (files.read(`/sys/class/block/${block}/dm/uuid`)?.startsWith("CRYPT-") === true) return true;
  const below = files.list(`/sys/class/block/${block}/slaves`);
  return depth < maxStackedDevices && below.length > 0 && below.every((slave) => liesOnCrypt(slave, files, depth + 1));
}
