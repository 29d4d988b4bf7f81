import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const patienceMs = 60_000;

/** False, or which of some programs and files this machine lacks. */
export function whyMissing(...needed: readonly string[]): string | false {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const absent = needed.find((name) => {
    const places = isAbsolute(name) ? [name] : folders.map((folder) => join(folder, name));
    return !places.some((place) => {
      try {
        accessSync(place, constants.R_OK);
        return true;
      } catch {
        return false;
      }
    });
  });
  return absent === undefined ? false : `this machine has no ${absent}`;
}

/** Runs a program to its end. @returns What it printed. @throws {Error} With its messages, when it fails. */
export async function run(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<string> {
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const [output, messages] = [gather(child.stdout), gather(child.stderr)];
  const [code, signal] = await once(child, "close");
  if (code !== 0) throw new Error(`${command} ended with ${code ?? signal}: ${messages()} ${output()}`);
  return output();
}

/** What a stream has given so far. */
export function gather(stream: NodeJS.ReadableStream | null): () => string {
  let text = "";
  stream?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => text;
}

/** The number in the last whole line that a process has printed, 0 before the first. */
export function followNumbers(child: ChildProcess): () => number {
  let text = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-64);
  });
  return () =>
    Number(
      text
        .slice(0, Math.max(0, text.lastIndexOf("\n")))
        .split("\n")
        .at(-1) ?? 0,
    );
}

/** A process and all that it has started, which it may leave behind when it is killed. */
export function withDescendants(pid: number): readonly number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc"))
    if (/^[0-9]+$/.test(name)) {
      const parent = parentOf(Number(name));
      if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    }
  const below = (one: number): number[] => [one, ...(children.get(one) ?? []).flatMap(below)];
  return below(pid);
}

/** Waits until processes have ended, those that are nobody's children as well. */
export async function awaitGone(pids: readonly number[]): Promise<void> {
  await until(async () => !pids.some((pid) => parentOf(pid) !== undefined), "the processes end");
}

export async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = performance.now() + patienceMs; !(await holds()); await pause(10))
    if (performance.now() > end) throw new Error(`${what}: not within ${patienceMs / 1000} s`);
}

/** Undefined when the process has ended, whether or not somebody has asked how. */
function parentOf(pid: number): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, parent] = status.slice(status.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}
