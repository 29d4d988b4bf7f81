/**
 * Preloaded (`node --import`): the process kills itself, as kill -9 does, before the change of the number KILLED_AT (from 1) of a file in the
 * folder KILLED_IN. With KILLED_AT 0 it only counts, and says on standard error how many there were.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const within = `${process.env.KILLED_IN ?? "/nowhere"}/`;
const killedAt = Number(process.env.KILLED_AT ?? 0);
const { O_CREAT, O_TRUNC } = fs.constants;
let changes = 0;

function change(path: string): void {
  if (!`${path}/`.startsWith(within)) return;
  changes += 1;
  if (changes === killedAt) process.kill(process.pid, "SIGKILL");
}

/** Of a descriptor, which may be a file without a name by now. */
function nameOf(descriptor: unknown): string {
  return fs.readlinkSync(`/proc/self/fd/${descriptor}`);
}

function before<Args extends readonly unknown[], Result>(
  call: (...args: Args) => Result,
  pathOf: (...args: Args) => string | undefined,
): (...args: Args) => Result {
  return (...args) => {
    const path = pathOf(...args);
    if (path !== undefined) change(path);
    return call(...args);
  };
}

const makes = (flags: unknown) =>
  typeof flags === "number" ? (flags & (O_CREAT | O_TRUNC)) !== 0 : typeof flags === "string" && /[wa]/.test(flags);
const patched = {
  openSync: before(fs.openSync, (path, flags) => (makes(flags) ? String(path) : undefined)),
  writeSync: before(fs.writeSync as (...args: readonly unknown[]) => number, nameOf),
  writeFileSync: before(fs.writeFileSync, (file) => (typeof file === "number" ? nameOf(file) : String(file))),
  ftruncateSync: before(fs.ftruncateSync, nameOf),
  fsyncSync: before(fs.fsyncSync, nameOf),
  fdatasyncSync: before(fs.fdatasyncSync, nameOf),
  linkSync: before(fs.linkSync, (_from, to) => String(to)),
  renameSync: before(fs.renameSync, (_from, to) => String(to)),
  rmSync: before(fs.rmSync, (path) => (fs.existsSync(path) ? String(path) : undefined)),
  unlinkSync: before(fs.unlinkSync, String),
  mkdirSync: before(fs.mkdirSync as (...args: readonly unknown[]) => string | undefined, String),
};
Object.assign(fs, patched);
syncBuiltinESMExports();
process.on("exit", () => {
  if (killedAt === 0) fs.writeFileSync(2, `changes: ${changes}\n`);
});
