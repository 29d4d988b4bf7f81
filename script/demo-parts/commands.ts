/** Runs `strongroom` as a person would, and keeps track of what is running. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import type { Stage } from "./stage.ts";

const program = join(import.meta.dirname, "../../bin/strongroom");

export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs strongroom commands in one folder and shows each. */
export class Commands {
  readonly #stage: Stage;
  readonly #folder: string;
  readonly #children = new Set<ChildProcess>();

  constructor(stage: Stage, folder: string) {
    this.#stage = stage;
    this.#folder = folder;
  }

  /** Runs a command to its end; anything but `exitCode` (0) is an error, with what it said. */
  async run(args: readonly string[], exitCode = 0): Promise<Ended> {
    const ended = await this.attempt(args);
    if (ended.exitCode !== exitCode)
      throw new Error(
        `strongroom ${args.join(" ")} ended with ${ended.exitCode}, expected ${exitCode}\n${ended.stderr}`,
      );
    return ended;
  }

  /** Runs a command to its end, whatever that is; without a terminal that it could ask on. */
  async attempt(args: readonly string[]): Promise<Ended> {
    const child = this.start(args, { detached: true });
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
    const [exitCode] = (await once(child, "close")) as [number | null];
    return { exitCode, stdout: stdout(), stderr: stderr() };
  }

  /** Starts a command that goes on running. */
  start(args: readonly string[], { detached = false }: { readonly detached?: boolean } = {}): ChildProcess {
    this.#stage.command(`strongroom ${args.map((arg) => this.#shown(arg)).join(" ")}`);
    const child = spawn(program, args, { cwd: this.#folder, detached, stdio: ["ignore", "pipe", "pipe"] });
    this.#children.add(child);
    child.once("close", () => this.#children.delete(child));
    return child;
  }

  /** Ends whatever still runs. */
  async endAll(): Promise<void> {
    await Promise.all([...this.#children].map((child) => end(child)));
  }

  /** Paths inside the working folder as they would be typed there; long argument lists cut. */
  #shown(arg: string): string {
    const inside = arg.startsWith(this.#folder) ? relative(this.#folder, arg) : arg;
    return /\s/.test(inside) ? JSON.stringify(inside) : withShortKeys(inside);
  }
}

/** A text with its SM2 public keys (130 hexadecimal digits) cut for a reader. */
export function withShortKeys(text: string): string {
  return text.replaceAll(/\b(04[0-9a-f]{8})[0-9a-f]{120}\b/g, "$1…");
}

/** Asks a process to stop and waits; killed after 30 s. Its exit code. */
export async function end(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, "close");
    child.kill("SIGTERM");
    const patience = setTimeout(() => child.kill("SIGKILL"), 30_000);
    await ended;
    clearTimeout(patience);
  }
  return child.exitCode;
}

/** Waits for the JSON line that `strongroom serve --json` prints once all its doors are open. */
export async function serverReady(child: ChildProcess): Promise<{ readonly native: string }> {
  const stderr = collect(child.stderr);
  if (child.stdout === null) throw new TypeError("the server's stdout must be a pipe");
  const line = new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).once("line", resolve);
    child.once("close", (code) => reject(new Error(`the key manager ended with ${code}\n${stderr()}`)));
  });
  return JSON.parse(await line) as { native: string };
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  let text = "";
  stream?.setEncoding("utf8").on("data", (chunk: string) => {
    text = (text + chunk).slice(-65_536);
  });
  return () => text;
}
