import type { KeyManagerFolder, RunningServer } from "../running-server.ts";
import { startServer } from "../running-server.ts";

/** A server that comes back at the same addresses. */
export class LastingServer implements AsyncDisposable {
  readonly #folder: KeyManagerFolder;
  readonly #more: readonly string[];
  #running: RunningServer | undefined;

  private constructor(folder: KeyManagerFolder, more: readonly string[]) {
    this.#folder = folder;
    this.#more = more;
  }

  /** `doors`: options of `strongroom serve` with fixed addresses. */
  static async start(folder: KeyManagerFolder, doors: readonly string[]): Promise<LastingServer> {
    const server = new LastingServer(folder, doors);
    server.#running = await startServer(folder, doors);
    return server;
  }

  get now(): RunningServer {
    if (this.#running === undefined) throw new Error("the server is not running");
    return this.#running;
  }

  /** SIGKILL, and a start on the same folder. */
  async killAndStart(): Promise<void> {
    await this.now.kill();
    this.#running = await startServer(this.#folder, this.#more);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]();
  }
}
