import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const repository = join(import.meta.dirname, "../../../..");
export const fctools: string = join(repository, "bin/fctools");

/** A folder of this test process, removed at its end. */
export const folder: string = mkdtempSync(join(tmpdir(), "strongroom-fctools-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

let files = 0;

/** A file of mode 0600 in {@link folder}. */
export function fileOf(text: string, mode = 0o600): string {
  files += 1;
  const path = join(folder, `file-${files}`);
  writeFileSync(path, text, { mode });
  return path;
}

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Surroundings {
  readonly environment?: Readonly<Record<string, string>>;
  /** Given on standard input, which then ends. */
  readonly input?: string;
  /** Given on descriptor 3. */
  readonly onDescriptor3?: string;
}

/** Runs a program, in a session without a terminal, to its end. */
export function run(program: string, args: readonly string[], surroundings: Surroundings = {}): Promise<Outcome> {
  const { environment = {}, input = "", onDescriptor3 } = surroundings;
  const child = spawn(program, args, {
    stdio: ["pipe", "pipe", "pipe", ...(onDescriptor3 === undefined ? [] : ["pipe" as const])],
    env: { ...process.env, ...environment },
    detached: true,
  });
  end(child, 0, input);
  if (onDescriptor3 !== undefined) end(child, 3, onDescriptor3);
  return outcomeOf(child);
}

/** Runs a TypeScript program of these tests, as {@link run}. */
export function runSource(source: string, args: readonly string[], surroundings?: Surroundings): Promise<Outcome> {
  return run(process.execPath, [join(import.meta.dirname, source), ...args], surroundings);
}

/**
 * Runs a program on a terminal of its own, made by script(1), and types one answer at each prompt that ends in a colon. What
 * both outputs have shown is `stdout`.
 */
export function runOnTerminal(program: string, args: readonly string[], answers: readonly string[]): Promise<Outcome> {
  const command = [program, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const child = spawn("script", ["-qec", command, "/dev/null"], { stdio: "pipe", detached: true });
  const left = [...answers];
  let seen = "";
  child.stdout.on("data", (piece) => {
    seen += piece;
    for (const answer of /: ?$/.test(seen) ? left.splice(0, 1) : []) {
      seen = "";
      child.stdin.write(answer);
    }
  });
  return outcomeOf(child);
}

function end(child: ChildProcess, descriptor: number, text: string): void {
  const stream = child.stdio[descriptor];
  if (stream === null || stream === undefined || !("end" in stream)) throw new Error(`no pipe at ${descriptor}`);
  // A program that refuses its arguments reads nothing.
  stream.on("error", () => {});
  stream.end(text);
}

function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name]?.setEncoding("utf8").on("data", (piece) => {
      text[name] += piece;
    });
  return new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal, ...text })));
}
