import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { setTimeout as delay } from "node:timers/promises";
import { reservePort } from "../reserved-ports.ts";
import { ChaincodeStream } from "./chaincode-stream.ts";

const shim = createRequire(import.meta.url).resolve("fabric-shim/cli.js");

/** A chaincode service as its operator starts it: `fabric-chaincode-node server`, Fabric's own runtime for chaincode in Node. */
export class ChaincodeProcess implements AsyncDisposable {
  readonly address: string;
  readonly #child: ChildProcess;
  #log = "";

  private constructor(address: string, child: ChildProcess) {
    this.address = address;
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (data: Buffer) => {
        this.#log = (this.#log + data).slice(-20_000);
      });
  }

  /** @param folder - With the package.json of the chaincode. @param packageId - As the peer's installation names it. */
  static async start(
    folder: string,
    packageId: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<ChaincodeProcess> {
    return await ChaincodeProcess.#spawn([shim, "server", "--module-path", folder], packageId, env);
  }

  /** A service with an entry of its own, which takes the same options. */
  static async startEntry(entry: string, packageId: string, ...args: readonly string[]): Promise<ChaincodeProcess> {
    return await ChaincodeProcess.#spawn([entry, ...args], packageId, {});
  }

  static async #spawn(
    command: readonly string[],
    packageId: string,
    env: Readonly<Record<string, string>>,
  ): Promise<ChaincodeProcess> {
    const address = `127.0.0.1:${await reservePort()}`;
    const args = [...command, "--chaincode-address", address, "--chaincode-id", packageId];
    const child = spawn(process.execPath, args, {
      env: { PATH: process.env.PATH, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    return new ChaincodeProcess(address, child);
  }

  /** What it has written to its output, the newest 20,000 characters. */
  get log(): string {
    return this.#log;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** A peer's stream to it; waits for a process that has just been started. */
  async connect(name: string): Promise<ChaincodeStream> {
    for (;;) {
      try {
        return await ChaincodeStream.connect(this.address, name);
      } catch (error) {
        if (this.#child.exitCode !== null || this.#child.signalCode !== null)
          throw new Error(`the chaincode service ended:\n${this.#log}`, { cause: error });
        await delay(50);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}
