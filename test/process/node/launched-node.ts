import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { makeDataKey } from "../../../src/node/make-data-key.ts";
import type { NodeKind } from "../../../src/node/manifest.ts";
import { type SealOptions, sealFile } from "../../../src/node/seal.ts";
import { FakeKeyManager, NodeFolder } from "../../unit/node/fake-key-manager.ts";

const program = join(import.meta.dirname, "launch-program.ts");
const patienceMs = 20_000;

export const nodekey: string = `${"0".repeat(62)}2a\n`;

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A sealed node in a folder of its own, and launches of it in processes of their own. */
export class LaunchedNode implements AsyncDisposable {
  readonly folder = new NodeFolder();
  readonly #outside = new NodeFolder();
  readonly #running: ChildProcess[] = [];

  /** `command`: TOML after `[command]`. The sealed key is `{key:nodekey}`. */
  static async sealed(command: string, more: { kind?: NodeKind; options?: SealOptions; tables?: string } = {}) {
    const node = new LaunchedNode();
    const { kind = "geth", options = {}, tables = "" } = more;
    const keyManager = node.#keyManager();
    const text = `\n[command]\n${command}\n${tables}`;
    const { loaded, dataKey } = await makeDataKey(node.folder.manifest(kind), keyManager);
    sealFile(loaded, dataKey, node.folder.write("nodekey", nodekey), options);
    node.folder.write("node.toml", readFileSync(loaded.file, "utf8") + text);
    dataKey[Symbol.dispose]();
    return node;
  }

  mood(mood: FakeKeyManager["mood"]): void {
    this.#outside.write("mood", mood);
  }

  /** A file outside the node's folder. */
  outside(name: string): string {
    return this.#outside.at(name);
  }

  start(): { readonly child: ChildProcess; readonly ended: Promise<Outcome> } {
    const args = [program, this.folder.path, this.outside("master"), this.outside("mood")];
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, STRONGROOM_SECRET_THING: "x", NODE_COMPILE_CACHE: this.outside("compiled"), KEPT: "yes" },
    });
    this.#running.push(child);
    let [stdout, stderr] = ["", ""];
    child.stdout?.on("data", (chunk) => (stdout += String(chunk)));
    child.stderr?.on("data", (chunk) => (stderr += String(chunk)));
    const ended = new Promise<Outcome>((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
    return { child, ended };
  }

  run(): Promise<Outcome> {
    return this.start().ended;
  }

  async appears(name: string): Promise<string> {
    const path = this.outside(name);
    for (const until = Date.now() + patienceMs; Date.now() < until; ) {
      if (existsSync(path) && readFileSync(path, "utf8") !== "") return readFileSync(path, "utf8");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${name} did not appear`);
  }

  /** Names, types, modes and contents of everything in the node's folder. */
  snapshot(): string {
    const hash = createHash("sha256");
    for (const name of readdirSync(this.folder.path, { recursive: true, encoding: "utf8" }).sort()) {
      const path = this.folder.at(name);
      const stats = lstatSync(path);
      hash.update(`${name}\0${stats.mode}\0${stats.isFile() ? stats.mtimeMs : 0}\0`);
      if (stats.isFile()) hash.update(readFileSync(path));
    }
    return hash.digest("hex");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#running)
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGKILL");
        await new Promise((resolve) => child.once("close", resolve));
      }
    this.folder[Symbol.dispose]();
    this.#outside[Symbol.dispose]();
  }

  #keyManager(): FakeKeyManager {
    const master = randomBytes(32);
    this.#outside.write("master", master);
    return new FakeKeyManager({ master: SecretBuffer.take(master) });
  }
}

/** `argv` of a shell script with arguments, as TOML. */
export function shell(script: string, ...args: readonly string[]): string {
  return `argv = ${JSON.stringify(["/bin/sh", "-c", script, "sh", ...args])}`;
}
