import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";

/** How finely the event loop's delay is seen, in milliseconds. What it reports has this much in it even of an idle loop. */
export const delayResolutionMs = 1;
/** `USER_HZ`: the unit of times in /proc/PID/stat on Linux. */
const clockTicksASecond = 100;

/** Of a plain loop. */
export interface LoopFigures {
  readonly perSecond: number;
  /** For each signature. */
  readonly cpuUs: number;
}

/** Of the adapter. */
export interface LoadFigures {
  readonly perSecond: number;
  /** Of this process and of the device's, for each signature. */
  readonly callerCpuUs: number;
  readonly deviceCpuUs: number;
  /** Event-loop delay of this process. */
  readonly delayP99Ms: number;
  readonly delayMostMs: number;
}

/**
 * Signs from so many callers at once, each asking for its next signature when it has the last.
 *
 * @param sign - Signs a digest of 32 bytes.
 * @param devicePid - The process in which the library works.
 */
export async function load(
  sign: (digest: Buffer) => Promise<unknown>,
  callers: number,
  seconds: number,
  devicePid: number,
): Promise<LoadFigures> {
  const delay = monitorEventLoopDelay({ resolution: delayResolutionMs });
  const cpuBefore = process.cpuUsage();
  const deviceBeforeUs = cpuUsOf(devicePid);
  delay.enable();
  const beganMs = performance.now();
  const endsMs = beganMs + seconds * 1000;
  let made = 0;
  const caller = async () => {
    while (performance.now() < endsMs) {
      await sign(randomBytes(32));
      made += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  const tookMs = performance.now() - beganMs;
  delay.disable();
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    perSecond: (made * 1000) / tookMs,
    callerCpuUs: (user + system) / made,
    deviceCpuUs: (cpuUsOf(devicePid) - deviceBeforeUs) / made,
    delayP99Ms: delay.percentile(99) / 1e6,
    delayMostMs: delay.max / 1e6,
  };
}

/** CPU time of all threads of a process so far, in microseconds. */
function cpuUsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // After the name, which may hold blanks: state is field 3, utime 14, stime 15.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / clockTicksASecond;
}
