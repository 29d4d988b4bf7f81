import { getPriority } from "node:os";

/** asm/unistd.h: sched_setattr. */
const callNumbers: Readonly<Record<string, number>> = { x64: 314, arm64: 274 };
/** sched_attr's first version, linux/sched/types.h. */
const attributesBytes = 48;
const flagsAt = 8;
/** SCHED_FLAG_KEEP_POLICY, linux/sched.h: who chose another policy for this program keeps it. */
const keepPolicy = 8n;
const niceAt = 16;
const runtimeAt = 24;
const shortSliceNs = 100_000n;
const longSliceNs = 30_000_000n;

/**
 * Asks the kernel to run this thread soon after it wakes, for a short while each time: a slice of 0.1 ms, without a greater share of
 * the machine (Linux 6.12, `sched_setattr` with a runtime for SCHED_OTHER). The threads in which a library computes would else keep
 * the loop from handing over an answer and the session's next call for as long as a whole slice of theirs. Threads that are started
 * later inherit it: see {@link computeSteadily}. Where the kernel or the platform does not know it, nothing changes.
 */
export function runLoopPromptly(): Promise<void> {
  return askForSlice(shortSliceNs);
}

/**
 * Asks the kernel for long slices, 30 ms, for a thread that computes: fewer turns, and loops that wake are run before its next one.
 */
export function computeSteadily(): Promise<void> {
  return askForSlice(longSliceNs);
}

async function askForSlice(nanoseconds: bigint): Promise<void> {
  const callNumber = callNumbers[process.arch];
  if (process.platform !== "linux" || callNumber === undefined) return;
  try {
    const { default: koffi } = await import("koffi");
    const syscall = koffi.load("libc.so.6").func("long syscall(long number, long pid, void *attributes, long flags)");
    const attributes = Buffer.alloc(attributesBytes);
    attributes.writeUInt32LE(attributesBytes);
    attributes.writeBigUInt64LE(keepPolicy, flagsAt);
    attributes.writeInt32LE(getPriority(), niceAt);
    attributes.writeBigUInt64LE(nanoseconds, runtimeAt);
    syscall(callNumber, 0, attributes, 0);
  } catch {
    // Slower where cores are short, and no more than that.
  }
}
