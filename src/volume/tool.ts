import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { Readable } from "node:stream";
import { VolumeError } from "./errors.ts";

const keptOutputBytes = 4096;

/** All that a tool gets of our environment: nothing that could hold a secret. */
const toolEnvironment = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" } as const;

/** @throws {VolumeError} `VOLUME_TOOL_MISSING` naming the Debian package. */
export function requireTool(name: string, debianPackage: string): string {
  for (const folder of toolEnvironment.PATH.split(delimiter)) {
    try {
      const path = join(folder, name);
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  throw new VolumeError("VOLUME_TOOL_MISSING", `${name} is not installed; as root: apt-get install ${debianPackage}`);
}

/** Starts a tool with a bare environment. Extra variables are for harmless settings only. */
export function startTool(
  path: string,
  args: readonly string[],
  stdio: NonNullable<SpawnOptions["stdio"]>,
  environment: Readonly<Record<string, string>> = {},
): ChildProcess {
  return spawn(path, args, { stdio, env: { ...toolEnvironment, ...environment } });
}

export interface ToolResult {
  /** Exit code, or -1 when the tool was ended by a signal or could not start. */
  readonly exitCode: number;
  /** The last 4 KiB of standard output and error, control characters removed. */
  readonly output: string;
}

/** Gives the tool `input` on standard input, wipes it, and waits for the end. */
export async function runTool(
  path: string,
  args: readonly string[],
  { input, environment = {}, extraFd }: { input?: Buffer; environment?: Record<string, string>; extraFd?: number } = {},
): Promise<ToolResult> {
  const extra = extraFd === undefined ? [] : [extraFd];
  const child = startTool(path, args, ["pipe", "pipe", "pipe", ...extra], environment);
  const tail = keepTail([child.stdout, child.stderr]);
  const ended = new Promise<number>((resolve) => {
    child.once("error", () => resolve(-1));
    // Not `close`: a server that the tool left behind may keep the pipes.
    child.once("exit", (code) => resolve(code ?? -1));
  });
  feedAndWipe(child, input ?? Buffer.alloc(0));
  const exitCode = await ended;
  await new Promise((resolve) => setImmediate(resolve));
  child.stdout?.destroy();
  child.stderr?.destroy();
  return { exitCode, output: tail() };
}

/** Writes a secret to the child's standard input and wipes our copy once the kernel has it. */
export function feedAndWipe(child: ChildProcess, secret: Buffer): void {
  child.stdin?.on("error", () => secret.fill(0));
  child.stdin?.end(secret, () => secret.fill(0));
}

/** Collects what a child prints, the last 4 KiB of it; the result reads it at any time. */
export function keepTail(outputs: readonly (Readable | null)[], onText?: (textSoFar: string) => void): () => string {
  let kept = "";
  const take = (chunk: Buffer) => {
    kept = (kept + chunk.toString("utf8")).slice(-keptOutputBytes);
    onText?.(kept);
  };
  for (const output of outputs) output?.on("data", take);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
  return () => kept.replace(/[\u0000-\u0009\u000b-\u001f\u007f]/g, "").trim();
}
