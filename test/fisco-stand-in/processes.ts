import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reservePort } from "../reserved-ports.ts";

const root = join(import.meta.dirname, "../..");

const folders: string[] = [];
process.on("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one of our programs from bin/ (or the node stand-in) to its end. */
export function runProgram(name: string, args: readonly string[], input = ""): Promise<Outcome> {
  const child = start(name, args);
  child.stdin?.on("error", () => {});
  child.stdin?.end(input);
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (piece) => {
    stdout += piece;
  });
  child.stderr?.on("data", (piece) => {
    stderr += piece;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}

/** The stand-in for the FISCO BCOS node, started on its config.ini. */
export function runNodeStandIn(configIni: string): Promise<Outcome> {
  return runProgram("fisco-node-stand-in", [configIni]);
}

function start(name: string, args: readonly string[]): ChildProcess {
  if (name === "fisco-node-stand-in")
    return spawn(process.execPath, [join(import.meta.dirname, `${name}.ts`), ...args], { stdio: "pipe" });
  return spawn(join(root, "bin", name), args, { stdio: "pipe", env: { ...process.env, XDG_STATE_HOME: stateHome } });
}

/** Where the programs of this test process keep what they keep by default. */
export const stateHome: string = temporaryFolder();

export interface RunningProgram {
  readonly port: number;
  readonly pid: number;
  readonly output: () => string;
  stop(): Promise<number | null>;
}

/** Starts `key-manager` on a free port and waits for its line. */
export async function startKeyManager(
  args: readonly string[],
  options: { port?: number } = {},
): Promise<RunningProgram> {
  const port = options.port ?? (await reservePort());
  const at = args[0] === "-g" ? 1 : 0;
  return await started(
    "key-manager",
    [...args.slice(0, at), String(port), ...args.slice(at)],
    port,
    /key-manager started,port=/,
  );
}

/** Starts a program and waits until it has printed `line`. */
export async function started(
  name: string,
  args: readonly string[],
  port: number,
  line: RegExp,
): Promise<RunningProgram> {
  const child = start(name, args);
  let output = "";
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  await new Promise<void>((resolve, reject) => {
    const take = (piece: Buffer) => {
      output += piece;
      if (line.test(output)) resolve();
    };
    child.stdout?.on("data", take);
    child.stderr?.on("data", take);
    child.on("close", (code) => reject(new Error(`${name} ended with ${code}: ${output}`)));
  });
  return {
    port,
    pid: child.pid ?? 0,
    output: () => output,
    stop: () => {
      child.kill("SIGTERM");
      return ended;
    },
  };
}

/** A folder of its own for one test, removed when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-fisco-"));
  folders.push(folder);
  return folder;
}

/** A file of mode 0600 that holds a secret. */
export function secretFile(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}
