import { type ChildProcess, spawn } from "node:child_process";
import { Duplex } from "node:stream";
import { EnclaveError } from "../errors.ts";
import { type Answerer, CallChannel } from "../process/call-channel.ts";
import { isClientCall } from "../process/client-calls.ts";

const productEntry = new URL(
  import.meta.url.endsWith(".ts") ? "../process/main.ts" : "../process/main.js",
  import.meta.url,
);
const socketDescriptor = 3;
/** SIGUSR1 would open a debugger into the enclave. Text is never run as code there. */
const nodeFlags = ["--disable-sigusr1", "--disallow-code-generation-from-strings"];
/** Where the tools of a TPM are; nothing else of the host's environment reaches the enclave. */
const environment = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };

export interface EnclaveProcessOptions {
  /** Answers the enclave's calls to its host. */
  readonly answer: Answerer;
  /** Module that the process runs. @defaultValue the enclave of the product */
  readonly entry?: URL;
  /** Node that runs it. @defaultValue this process's */
  readonly program?: string;
}

/** A running enclave, as its host sees it. */
export interface RunningEnclave {
  readonly alive: boolean;
  readonly pid: number;
  /** @throws EnclaveError what the enclave refused with; ENCLAVE_ENDED */
  call(name: string, ...parts: readonly Uint8Array[]): Promise<readonly Buffer[]>;
  /** Ends it in good order: it wipes its keys. */
  end(): Promise<void>;
  kill(): void;
}

/** An enclave in a process of its own: a process id and a socket. */
export class EnclaveProcess implements RunningEnclave {
  readonly #child: ChildProcess;
  readonly #channel: CallChannel;
  readonly #ended: Promise<void>;
  #alive = true;

  /** @throws EnclaveError ENCLAVE_ENDED: no process can be started */
  constructor({ answer, entry = productEntry, program = process.execPath }: EnclaveProcessOptions) {
    // What it prints is discarded: libraries are known to print what they were given.
    this.#child = spawn(program, [...nodeFlags, entry.pathname], {
      env: environment,
      cwd: "/",
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    });
    this.#ended = new Promise((resolve) => {
      const over = () => {
        this.#alive = false;
        resolve();
      };
      this.#child.once("error", over);
      this.#child.once("close", over);
    });
    const socket = this.#child.stdio?.[socketDescriptor];
    if (!(socket instanceof Duplex)) throw new EnclaveError("ENCLAVE_ENDED", "the enclave's process cannot be started");
    this.#channel = new CallChannel(socket, {
      answer,
      isForClient: isClientCall,
      // Whatever reason the channel broke for, the process is of no more use; its sealed blob is.
      closed: () => this.kill(),
      unexpected: (error) => `STORE_FAILED: ${error instanceof Error ? error.message : "the host failed"}`,
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  call(name: string, ...parts: readonly Uint8Array[]): Promise<readonly Buffer[]> {
    return this.#channel.call(name, ...parts);
  }

  async end(): Promise<void> {
    if (!this.#alive) return;
    await this.#channel.call("end").catch(() => undefined);
    this.kill();
    await this.#ended;
  }

  kill(): void {
    if (this.#alive) this.#child.kill("SIGKILL");
  }
}
