/** linux/prctl.h and asm-generic/resource.h. */
const setParentDeathSignal = 1;
const getDumpable = 3;
const setDumpable = 4;
const killSignal = 9;
const coreFileLimit = 4;

/**
 * Closes this process off before a secret comes into it: other processes of its user cannot read its memory
 * (PR_SET_DUMPABLE 0), it leaves no core, and it dies with the process that started it, even while a library holds its only
 * thread (PR_SET_PDEATHSIG). The host's root is not kept out by this.
 *
 * @throws {Error} The kernel or the platform does not do that: Linux with glibc on x86-64 or arm64 does.
 */
export async function closeProcessOff(): Promise<void> {
  const { default: koffi } = await import("koffi");
  const libc = koffi.load("libc.so.6");
  const prctl = libc.func("int prctl(int option, ulong a, ulong b, ulong c, ulong d)");
  koffi.struct("rlimit", { soft: "ulong", hard: "ulong" });
  const setrlimit = libc.func("int setrlimit(int resource, const rlimit *limit)");
  prctl(setParentDeathSignal, killSignal, 0, 0, 0);
  prctl(setDumpable, 0, 0, 0, 0);
  if (prctl(getDumpable, 0, 0, 0, 0) !== 0 || setrlimit(coreFileLimit, { soft: 0, hard: 0 }) !== 0)
    throw new Error("the kernel refuses");
}
