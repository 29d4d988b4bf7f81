import { readFileSync } from "node:fs";

/** What a process, all its threads included, has used so far. */
export interface ProcessUsage {
  readonly cpuMs: number;
  readonly rssMiB: number;
}

/** Linux reports times in ticks of a hundredth of a second to user space (`USER_HZ`, time(7)). */
const tickMs = 10;
/** Places behind the program's name in /proc/PID/stat (proc_pid_stat(5): fields 14 and 15). */
const userTicksPlace = 11;
const systemTicksPlace = 12;

/** From /proc: CPU time to a hundredth of a second, resident memory. */
export function usageOf(pid: number): ProcessUsage {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[userTicksPlace]) + Number(fields[systemTicksPlace]);
  const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return { cpuMs: ticks * tickMs, rssMiB: Number(resident) / 1024 };
}
