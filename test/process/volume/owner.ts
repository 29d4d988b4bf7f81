import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";

const program = join(import.meta.dirname, "volume-owner.ts");

/** A process of its own that holds, leaves open or makes a volume. */
export class Owner {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #printed = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, "exit");
  }

  /** Starts it and resolves when it has printed `line`. */
  static async start(
    verb: "hold" | "leave" | "create",
    kind: string,
    folder: string,
    dataKey: SecretBuffer,
    line = "open",
  ): Promise<Owner> {
    const child = spawn(process.execPath, [program, verb, kind, folder], { stdio: ["pipe", "pipe", "pipe"] });
    const owner = new Owner(child);
    let errors = "";
    child.stderr.on("data", (chunk) => (errors += String(chunk)));
    const seen = new Promise<void>((resolve, reject) => {
      child.stdout.on("data", (chunk) => {
        owner.#printed += String(chunk);
        if (owner.#printed.includes(`${line}\n`)) resolve();
      });
      child.once("exit", () => reject(new Error(`the owner ended: ${errors}`)));
    });
    child.stdin.end(dataKey.expose((bytes) => Buffer.from(bytes)));
    await seen;
    return owner;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async ended(): Promise<void> {
    await this.#ended;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
