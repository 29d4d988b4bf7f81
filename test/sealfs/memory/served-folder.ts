import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdtempSync, rmdirSync } from "node:fs";
import { join } from "node:path";

const program = join(import.meta.dirname, "serve.ts");

/** False, or why nothing can be mounted here. */
export function whyNoFuse(): string | false {
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
  } catch {
    return "there is no /dev/fuse that may be opened";
  }
  return process.getuid?.() === 0 ? false : "only root may mount here";
}

/** A file system in memory, mounted by a process of its own. */
export class ServedFolder {
  readonly path: string;
  readonly process: ChildProcess;
  readonly #output: () => string;

  private constructor(path: string, process: ChildProcess, output: () => string) {
    this.path = path;
    this.process = process;
    this.#output = output;
  }

  static async start(): Promise<ServedFolder> {
    const path = mkdtempSync("/tmp/strongroom-memory-");
    const child = spawn(process.execPath, [program, path], { stdio: ["pipe", "pipe", "inherit"] });
    let output = "";
    await new Promise<void>((resolve, reject) => {
      child.stdout.on("data", (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes("serving\n")) resolve();
      });
      child.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${output}`)));
    });
    return new ServedFolder(path, child, () => output);
  }

  /** Unmounts and waits for the server. @returns What it printed after `serving`. */
  async stop(): Promise<string> {
    const ended = this.process.exitCode === null && this.process.signalCode === null && once(this.process, "exit");
    if (spawnSync("umount", [this.path]).status !== 0) spawnSync("umount", ["-l", this.path]);
    const timer = setTimeout(() => this.process.kill("SIGKILL"), 30_000);
    await ended;
    clearTimeout(timer);
    rmdirSync(this.path);
    return this.#output().replace("serving\n", "");
  }
}
