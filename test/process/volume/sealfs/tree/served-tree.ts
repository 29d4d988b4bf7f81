import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

const program = join(import.meta.dirname, "serve-tree.ts");

/** False, or why nothing can be mounted here. */
export function whyNoMount(): string | false {
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
  } catch {
    return "there is no /dev/fuse that may be opened";
  }
  return process.getuid?.() === 0 ? false : "only root may mount here";
}

/** A sealed tree over a tmpfs, mounted by a process of its own, and a plain folder of the same tmpfs beside it. */
export class ServedTree {
  readonly plain: string;
  readonly mounted: string;
  readonly #memory: string;
  readonly #names: "plain" | "encrypted";
  #server: ChildProcess | undefined;
  #output = "";

  /** @param megabytes - Room of the tmpfs. */
  constructor(t: TestContext, names: "plain" | "encrypted", megabytes: number) {
    const above = mkdtempSync(join(tmpdir(), "strongroom-tree-"));
    this.#names = names;
    this.#memory = join(above, "memory");
    this.mounted = join(above, "mounted");
    this.plain = join(this.#memory, "plain");
    for (const folder of [this.#memory, this.mounted]) mkdirSync(folder);
    run("mount", "-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", this.#memory);
    for (const folder of [this.plain, this.backing]) mkdirSync(folder);
    t.after(async () => {
      await this.kill();
      run("umount", "-l", this.#memory);
      rmSync(above, { recursive: true, force: true });
    });
  }

  get backing(): string {
    return join(this.#memory, "backing");
  }

  /** What the server has printed since the first start. */
  get output(): string {
    return this.#output;
  }

  async start(state: "clean" | "unclean"): Promise<void> {
    const args = [program, this.backing, this.mounted, this.#names, state];
    const server = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.stdout.on("data", (chunk: Buffer) => {
        this.#output += chunk.toString();
        if (chunk.includes("serving\n")) resolve();
      });
      server.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${this.#output}`)));
    });
  }

  /** Unmounts, and waits until the server has closed everything. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    const ended = once(server, "exit");
    run("umount", this.mounted);
    await ended;
    this.#server = undefined;
  }

  /** Kills the server at once, and takes the dead mount away. */
  async kill(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const ended = once(server, "exit");
    server.kill("SIGKILL");
    await ended;
    run("umount", "-l", this.mounted);
  }

  /** Makes the tmpfs below read-only, or writable again. */
  remountMemory(access: "ro" | "rw"): void {
    run("mount", "-o", `remount,${access}`, this.#memory);
  }
}

function run(command: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
}
