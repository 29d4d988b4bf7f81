import { readFileSync } from "node:fs";

export interface Mount {
  readonly mountPoint: string;
  /** `ext4`, `fuse.gocryptfs`, … */
  readonly type: string;
  /** The device, or what a FUSE server calls itself. */
  readonly source: string;
}

/**
 * The mounts of /proc/self/mountinfo (proc_pid_mountinfo(5)), in mount order: the last one on a path is the visible one.
 * Lines that are not of that form are left out.
 */
export function parseMountInfo(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const fields = line.split(" ");
    const separator = fields.indexOf("-", 6);
    const [mountPoint, type, source] = [fields[4], fields[separator + 1], fields[separator + 2]];
    if (separator < 0 || mountPoint === undefined || type === undefined || source === undefined) return [];
    return [{ mountPoint: unescapeOctal(mountPoint), type, source: unescapeOctal(source) }];
  });
}

/** The visible mount exactly at `path`, or undefined. */
export function mountAt(path: string, mounts: readonly Mount[] = readMounts()): Mount | undefined {
  return mounts.findLast((mount) => mount.mountPoint === path);
}

/** The mount that `path` lies on. */
export function mountOf(path: string, mounts: readonly Mount[] = readMounts()): Mount | undefined {
  let found: Mount | undefined;
  for (const mount of mounts) {
    const inside = mount.mountPoint === "/" || path === mount.mountPoint || path.startsWith(`${mount.mountPoint}/`);
    if (inside && mount.mountPoint.length >= (found?.mountPoint.length ?? 0)) found = mount;
  }
  return found;
}

/** The mounts that this process sees. */
export function readMounts(): Mount[] {
  return parseMountInfo(readFileSync("/proc/self/mountinfo", "utf8"));
}

/** The kernel writes space, tab, newline and backslash as `\` and three octal digits. */
export function unescapeOctal(text: string): string {
  return text.replace(/\\([0-3][0-7]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
