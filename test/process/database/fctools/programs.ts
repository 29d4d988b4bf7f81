import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Outcome, outcomeOf } from "../../program-on-terminal.ts";

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

function end(child: ChildProcess, descriptor: number, text: string): void {
  const stream = child.stdio[descriptor];
  if (stream === null || stream === undefined || !("end" in stream)) throw new Error(`no pipe at ${descriptor}`);
  // A program that refuses its arguments reads nothing.
  stream.on("error", () => {});
  stream.end(text);
}
