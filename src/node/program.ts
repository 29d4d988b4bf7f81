import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { accessSync, constants as fsConstants } from "node:fs";
import { constants } from "node:os";
import { delimiter, join } from "node:path";
import { NodeError } from "./errors.ts";

export interface ProgramStart {
  readonly argv: readonly string[];
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Standard output and error: a descriptor, or ours. */
  readonly output: number | "inherit";
  /** Descriptors from 3 on. */
  readonly descriptors: readonly number[];
}

/** How a program ended, as an exit code: its own, or 128 and the signal's number. */
export interface ProgramEnd {
  readonly exitCode: number;
  readonly description: string;
}

/** util-linux: ends the program when its launcher is killed, so that none runs on without its lease being watched. */
const setpriv = "/usr/bin/setpriv";
/**
 * A launcher that was killed before setpriv had asked for the signal sends none: then the program must not begin. The shell's first
 * argument is the launcher's process number; it becomes the program.
 */
const unlessOrphaned = ["/bin/sh", "-c", '[ "$PPID" = "$0" ] || exit 143; exec "$@"'];

/** A started program, in a session of its own: a terminal's Ctrl-C reaches it once, through us. */
export class Program {
  readonly #child: ChildProcess;
  readonly ended: Promise<ProgramEnd>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.ended = new Promise((resolve, reject) => {
      child.once("error", (cause) => reject(new NodeError("COMMAND_UNUSABLE", cause.message, { cause })));
      child.once("exit", (code, signal) => resolve(programEnd(code, signal)));
    });
  }

  static start({ argv, folder, environment, output, descriptors }: ProgramStart): Program {
    const [program = "", ...args] = isExecutable(setpriv)
      ? [setpriv, "--pdeathsig", "TERM", "--", ...unlessOrphaned, String(process.pid), ...argv]
      : argv;
    const stdio: StdioOptions = ["inherit", output, output, ...descriptors];
    return new Program(spawn(program, args, { cwd: folder, env: environment, stdio, detached: true }));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Passes a signal on to the program itself. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends the program: SIGTERM, and after `patienceMs` SIGKILL for it and all it started in its session. */
  async stop(patienceMs: number): Promise<ProgramEnd> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.killAll(), patienceMs);
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Kills what the program left running in its process group; nothing of it may hold the volume open. */
  killAll(): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // Nothing is left of the group.
    }
  }
}

/**
 * Finds out that a command cannot be started before any key is asked for.
 *
 * @throws {NodeError} `COMMAND_UNUSABLE`.
 */
export function checkProgram(program: string, folder: string): void {
  const candidates = program.includes("/")
    ? [program.startsWith("/") ? program : join(folder, program)]
    : (process.env.PATH ?? "").split(delimiter).map((place) => join(place, program));
  if (!candidates.some(isExecutable))
    throw new NodeError("COMMAND_UNUSABLE", `${JSON.stringify(program)} is not a program that can be started`, {
      hint: "check command.argv in the manifest; a name without a slash is looked up in PATH",
    });
}

function programEnd(code: number | null, signal: NodeJS.Signals | null): ProgramEnd {
  if (code !== null) return { exitCode: code, description: `ended with exit code ${code}` };
  const number = signal === null ? 0 : constants.signals[signal];
  return { exitCode: 128 + number, description: `was ended by ${signal}` };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, fsConstants.X_OK);
    return true;
  } catch {
    return false;
  }
}
