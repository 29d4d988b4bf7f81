import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { initCustody } from "../../../src/custody/open.ts";
import { reservePort } from "../../reserved-ports.ts";
import { NodeFolder } from "../../unit/node/fake-key-manager.ts";

const strongroom = join(import.meta.dirname, "../../../bin/strongroom");
const patienceMs = 60_000;

export interface CommandOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the real command line. */
export function command(...args: readonly string[]): Promise<CommandOutcome> {
  return new Promise((resolve) =>
    execFile(strongroom, args, { encoding: "utf8", timeout: patienceMs }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 255), stdout, stderr }),
    ),
  );
}

/** As {@link command}, and fails unless it ends with 0. */
export async function succeed(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await command(...args);
  if (code !== 0) throw new Error(`strongroom ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout;
}

/** A real key manager in a process of its own, with one master key `alias/nodes`. */
export class KeyManagerProcess implements AsyncDisposable {
  readonly folder = new NodeFolder();
  readonly data: string = this.folder.at("km");
  readonly #unlock: string;
  #port = 0;
  #process: ChildProcess | undefined;

  private constructor() {
    this.#unlock = this.folder.write("unlock", randomBytes(32).toString("hex"));
  }

  static async started(): Promise<KeyManagerProcess> {
    const keyManager = new KeyManagerProcess();
    // By a key file, so that no start waits for scrypt.
    using unlock = SecretBuffer.take(readFileSync(keyManager.#unlock));
    await initCustody({ dataDir: keyManager.data, unlock, slotKind: "key-file" });
    await keyManager.#startOnFreePort();
    await succeed("key", "create", "--data", keyManager.data, "--alias", "alias/nodes");
    return keyManager;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const args = ["--data", this.data, "--unlock-file", this.#unlock, "--native", `127.0.0.1:${this.#port}`];
    const child = spawn(strongroom, ["serve", ...args], { stdio: ["ignore", "ignore", "pipe"] });
    this.#process = child;
    let told = "";
    child.stderr.on("data", (chunk) => (told += String(chunk)));
    for (const until = Date.now() + patienceMs; !told.includes("native:"); ) {
      if (Date.now() > until || child.exitCode !== null) throw new Error(`the key manager did not start: ${told}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** A port that was free may be another program's by the time that the key manager listens. */
  async #startOnFreePort(): Promise<void> {
    for (let triesLeft = 4; ; triesLeft -= 1) {
      this.#port = await reservePort();
      try {
        return await this.start();
      } catch (error) {
        if (triesLeft === 0 || !String(error).includes("EADDRINUSE")) throw error;
      }
    }
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const closed = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGTERM");
    await closed;
  }

  /** Makes a token in a file of its own. */
  async token(name: string, ...more: readonly string[]): Promise<string> {
    const out = this.folder.at(`token-${randomBytes(4).toString("hex")}`);
    await succeed("node", "token", name, "--key", "alias/nodes", "--data", this.data, "--out", out, ...more);
    return out;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.folder[Symbol.dispose]();
  }
}
