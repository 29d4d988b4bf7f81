/** What starting an enclave's process costs, of whatever it is asked afterwards. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EnclaveProcess } from "../../src/enclave/stub/enclave-process.ts";
import { createAttestationRoot } from "../../src/enclave/tee/attestation-root.ts";
import { createProcessPlatform } from "../../src/enclave/tee/process/platform.ts";

export interface StartUp {
  /** Node's own start, and loading its modules: ms of processor time. */
  readonly loadedMs: number;
  /** Opening its platform, for which it hashes its code. */
  readonly measuredMs: number;
}

/** @returns One for each start. The first of a platform hashes Node's program as well, which the platform keeps. */
export async function measureStartUp(folder: string, starts: number): Promise<readonly StartUp[]> {
  mkdirSync(folder, { recursive: true });
  const root = await createAttestationRoot(join(folder, "root"), "root");
  const platform = join(folder, "platform");
  await createProcessPlatform(platform, root, "platform");
  const made: StartUp[] = [];
  for (let start = 0; start < starts; start += 1) {
    const enclave = new EnclaveProcess({ answer: () => Promise.resolve([]) });
    try {
      // It answers when its modules are loaded; that it refuses is right.
      await enclave.call("nothing").catch(() => undefined);
      const loadedMs = processCpuMs(enclave.pid);
      await enclave.call("start", Buffer.from(JSON.stringify({ kind: "process", platform })));
      made.push({ loadedMs, measuredMs: processCpuMs(enclave.pid) - loadedMs });
    } finally {
      await enclave.end();
    }
  }
  return made;
}

/** Processor time of another process's threads so far (Linux, proc_pid_schedstat). */
function processCpuMs(pid: number): number {
  const tasks = join("/proc", String(pid), "task");
  const spent = (task: string) => Number(readFileSync(join(tasks, task, "schedstat"), "latin1").split(" ")[0]) / 1e6;
  return readdirSync(tasks).reduce((total, task) => total + spent(task), 0);
}
