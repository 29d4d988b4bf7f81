import { closeSync, constants, openSync } from "node:fs";
import { VolumeError } from "../../errors.ts";
import type { KernelCalls } from "./system-calls.ts";

/** mount(2): MS_NOSUID, MS_NODEV. */
const mountFlags = 2 | 4;
/** umount2(2): MNT_DETACH, UMOUNT_NOFOLLOW. */
const detach = 2;
const noFollow = 8;

/** What /proc/self/mountinfo calls the file system. */
export const mountType = "fuse.sealfs";

export interface MountOptions {
  /** What /proc/self/mountinfo shows as the device: the folder with the sealed files. */
  readonly source: string;
  /** An empty folder, by its real path. */
  readonly mountPoint: string;
  /** Who owns the mount, and may use it alone without {@link MountOptions.allowOther}. */
  readonly uid: number;
  readonly gid: number;
  /** Others may use it as well, as far as owners and modes of the files let them. */
  readonly allowOther: boolean;
}

/**
 * Opens /dev/fuse and mounts it: the calling process is the server, and is to call `serveRequests` at once. Needs CAP_SYS_ADMIN in
 * its user namespace: root, or `unshare --user --map-root-user --mount`. Always nosuid and nodev; the kernel checks permissions.
 *
 * @returns The descriptor of the connection, non-blocking and closed on exec. When the last copy is closed the mount is dead.
 * @throws {VolumeError} VOLUME_SYSTEM naming what the kernel refused.
 */
export function mountFuseServer(calls: KernelCalls, options: MountOptions): number {
  const { source, mountPoint, uid, gid, allowOther } = options;
  const descriptor = openDevice();
  const data = `fd=${descriptor},rootmode=40000,user_id=${uid},group_id=${gid},default_permissions${allowOther ? ",allow_other" : ""}`;
  const result = calls.mount(source, mountPoint, mountType, mountFlags, data);
  if (result === 0) return descriptor;
  closeSync(descriptor);
  const code = calls.errnoName(-result);
  throw new VolumeError("VOLUME_SYSTEM", `${mountPoint} could not be mounted: ${code}${adviceFor(code)}`);
}

function openDevice(): number {
  try {
    return openSync("/dev/fuse", constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    throw new VolumeError(
      "VOLUME_SYSTEM",
      "/dev/fuse can't be opened; load the kernel's fuse module, or give access to it",
      error,
    );
  }
}

function adviceFor(code: string): string {
  if (code === "EPERM") return "; run as root, or inside `unshare --user --map-root-user --mount`";
  if (code === "ENOENT" || code === "ENOTDIR") return "; make the folder first";
  return "";
}

/**
 * Takes the mount off its folder, from any process with the rights of the one that mounted it.
 *
 * @param how - `whenIdle`: only when nobody uses it; its server ends by itself. `atOnce`: out of the tree now; the server ends when the
 *   last user has gone, or when it is ended.
 * @returns False when it is in use. True when it is gone, also when nothing was mounted there.
 * @throws {VolumeError} VOLUME_SYSTEM.
 */
export function unmountFuseServer(calls: KernelCalls, mountPoint: string, how: "whenIdle" | "atOnce"): boolean {
  const result = calls.unmount(mountPoint, how === "atOnce" ? detach | noFollow : noFollow);
  if (result === 0) return true;
  const code = calls.errnoName(-result);
  if (code === "EBUSY") return false;
  if (code === "EINVAL" || code === "ENOENT") return true;
  throw new VolumeError("VOLUME_SYSTEM", `${mountPoint} could not be unmounted: ${code}`);
}
