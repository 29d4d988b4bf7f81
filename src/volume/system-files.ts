import { readdirSync, readFileSync, realpathSync, statSync } from "node:fs";

/** The kernel's files that launch checks read: a real machine's, or samples in a test. */
export interface SystemFiles {
  /** The text of a file, or undefined when it cannot be read. */
  read(path: string): string | undefined;
  /** The names in a folder, or none. */
  list(path: string): readonly string[];
  /** `major:minor` of the device that a file lies on, or of the device itself when it is a block device. */
  deviceOf(path: string): string | undefined;
}

export const thisMachine: SystemFiles = {
  read(path) {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined;
    }
  },
  list(path) {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  },
  deviceOf(path) {
    try {
      const stat = statSync(realpathSync(path));
      const device = stat.isBlockDevice() ? stat.rdev : stat.dev;
      // Linux's dev_t (gnu_dev_major, gnu_dev_minor): 12 bits of major at 8, 20 bits of minor around them.
      return `${(device >>> 8) & 0xfff}:${(device & 0xff) | ((device >>> 12) & 0xfff00)}`;
    } catch {
      return undefined;
    }
  },
};
