import { readFileSync } from "node:fs";
import { coreLimitFor } from "./launch-safety.ts";
import { loadLibc } from "./libc.ts";
import type { Finding } from "./volume.ts";

/** linux/prctl.h and asm-generic/resource.h. */
const getDumpable = 3;
const setDumpable = 4;
const coreFileLimit = 4;

/**
 * Keeps this process's memory out of reach: PR_SET_DUMPABLE 0 (no core, no ptrace and no /proc/PID/mem by its own user),
 * and a core limit that every child inherits. Both hold for the rest of the process's life. A program that is started
 * is dumpable again by the kernel's rule; the inherited limit still keeps it from leaving a core.
 *
 * After this, a process that is not root can no longer open its own /proc/self/fd entries.
 */
export async function hardenThisProcess(): Promise<Finding[]> {
  return [await denyMemoryAccess(), await forbidCores()];
}

async function denyMemoryAccess(): Promise<Finding> {
  const check = "memory of this process";
  try {
    const libc = await loadLibc();
    libc.prctl(setDumpable, 0);
    return libc.prctl(getDumpable, 0) === 0
      ? { check, ok: true, detail: "not dumpable" }
      : { check, ok: false, detail: "still dumpable", remedy: "run on a kernel that honours PR_SET_DUMPABLE" };
  } catch (error) {
    return {
      check,
      ok: false,
      detail: `PR_SET_DUMPABLE could not be set: ${(error as Error).message}`,
      remedy: "install on Linux with glibc, on x86-64 or arm64",
    };
  }
}

async function forbidCores(): Promise<Finding> {
  const check = "core dumps of this process and its children";
  try {
    const limit = coreLimitFor(readFileSync("/proc/sys/kernel/core_pattern", "utf8"));
    const libc = await loadLibc();
    try {
      libc.setLimit(coreFileLimit, limit);
    } catch (error) {
      // A hard limit of 0 cannot be raised to 1 by an ordinary user; with piped cores that is worth telling.
      if (limit === 0n) throw error;
      return { check, ok: false, detail: "limit 0, which piped cores ignore", remedy: "set LimitCORE=1" };
    }
    return { check, ok: true, detail: `limit ${limit}` };
  } catch (error) {
    return {
      check,
      ok: false,
      detail: `RLIMIT_CORE could not be set: ${(error as Error).message}`,
      remedy: "set LimitCORE=0, or LimitCORE=1 where core_pattern pipes cores",
    };
  }
}
