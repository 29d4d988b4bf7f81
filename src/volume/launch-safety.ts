import { mkdirSync } from "node:fs";
import { makeMemoryFolder } from "./memory-folder.ts";
import { type SystemFiles, thisMachine } from "./system-files.ts";
import type { Finding, OpenVolume } from "./volume.ts";

export interface CoreLimit {
  /** 2^64 − 1 stands for unlimited. */
  readonly softBytes: bigint;
  readonly hardBytes: bigint;
}

const unlimited = 2n ** 64n - 1n;

/** The line `Max core file size` of /proc/PID/limits (proc_pid_limits(5)), or undefined when it is not there. */
export function parseCoreLimit(text: string): CoreLimit | undefined {
  const match = /^Max core file size\s+(unlimited|[0-9]+)\s+(unlimited|[0-9]+)\s+bytes/m.exec(text);
  if (match === null) return undefined;
  const [softBytes, hardBytes] = [match[1], match[2]].map((word) =>
    word === "unlimited" ? unlimited : BigInt(word ?? ""),
  );
  return softBytes === undefined || hardBytes === undefined ? undefined : { softBytes, hardBytes };
}

/**
 * The limit that keeps a process from leaving a core: 0 where cores are files, 1 where core_pattern pipes them to a
 * program, which ignores 0 (core(5)).
 */
export function coreLimitFor(corePattern: string): 0n | 1n {
  return corePattern.startsWith("|") ? 1n : 0n;
}

/** Whether a child that inherits our limits could leave its memory in a core file. What cannot be read counts as worst. */
export function checkCoreDumps(files: SystemFiles = thisMachine): Finding {
  const check = "core dumps";
  const limit = parseCoreLimit(files.read("/proc/self/limits") ?? "");
  const pattern = files.read("/proc/sys/kernel/core_pattern")?.trim();
  const remedy = "start through strongroom, which sets the limit, or set LimitCORE=0 (LimitCORE=1 if cores are piped)";
  if (limit === undefined) return { check, ok: false, detail: "the core file limit cannot be read", remedy };
  if (pattern?.startsWith("@") === true)
    return {
      check,
      ok: false,
      detail: "cores are sent to a socket, which heeds no limit",
      remedy: "set another kernel.core_pattern, as root: sysctl kernel.core_pattern=core",
    };
  const isFile = pattern !== undefined && !pattern.startsWith("|");
  const where = isFile ? "cores are files" : whereCoresGo(pattern);
  // A piped core ignores a limit of 0; 1 is the value that a pipe heeds too (core(5)).
  const ok = limit.hardBytes <= 1n && (isFile || limit.softBytes === 1n);
  const detail = `limit ${shown(limit.softBytes)}, hard ${shown(limit.hardBytes)}; ${where}`;
  return { check, ok, detail, ...(ok ? {} : { remedy }) };
}

function whereCoresGo(pattern: string | undefined): string {
  return pattern === undefined ? "core_pattern cannot be read" : `cores are piped to ${pattern.slice(1).split(" ")[0]}`;
}

function shown(bytes: bigint): string {
  return bytes === unlimited ? "unlimited" : `${bytes}`;
}

/** The value of TMPDIR for a program: on the volume where it encrypts any file, else a folder of its own in memory. */
export function temporaryFolderFor(volume: Pick<OpenVolume, "temporaryPath">): { path: string; remove(): void } {
  if (volume.temporaryPath === undefined) return makeMemoryFolder();
  mkdirSync(volume.temporaryPath, { recursive: true, mode: 0o700 });
  return { path: volume.temporaryPath, remove: () => {} };
}
