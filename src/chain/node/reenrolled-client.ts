import { statSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { ClientError } from "../../client/errors.ts";
import type { CounterClient } from "./guard-counter.ts";

export interface ReenrolledClientOptions {
  /** The file of the node's identity that an enrolment writes last. */
  readonly identityFile: string;
  /** A client with the identity as it is on the disk now. */
  connect(): Promise<CounterClient>;
  /** How long the new identity may take to the disk once the key manager knows it, in milliseconds. @defaultValue `3000` */
  readonly patienceMs?: number;
}

const lookMs = 100;

/**
 * A key manager's client of a node that may be enrolled again while it runs, as it must be before its certificate ends: the
 * key manager then knows the former identity no more. What it refuses is asked once more with a new identity, if there is one.
 */
export class ReenrolledClient implements CounterClient {
  readonly #options: ReenrolledClientOptions;
  #client: CounterClient;
  #identity: string | undefined;
  #isClosed = false;

  private constructor(options: ReenrolledClientOptions, client: CounterClient, identity: string | undefined) {
    this.#options = options;
    this.#client = client;
    this.#identity = identity;
  }

  static async connect(options: ReenrolledClientOptions): Promise<ReenrolledClient> {
    const identity = markOf(options.identityFile);
    return new ReenrolledClient(options, await options.connect(), identity);
  }

  advanceCounter(...input: Parameters<CounterClient["advanceCounter"]>): ReturnType<CounterClient["advanceCounter"]> {
    return this.#ask((client) => client.advanceCounter(...input));
  }

  readCounter(name: string): ReturnType<CounterClient["readCounter"]> {
    return this.#ask((client) => client.readCounter(name));
  }

  close(): void {
    this.#isClosed = true;
    this.#client.close();
  }

  async #ask<T>(ask: (client: CounterClient) => Promise<T>): Promise<T> {
    try {
      return await ask(this.#client);
    } catch (error) {
      const isRefused = error instanceof ClientError && error.code === "REFUSED";
      if (!isRefused || !(await this.#takeNewIdentity())) throw error;
      return ask(this.#client);
    }
  }

  /** False when the identity on the disk stays the one that was refused. */
  async #takeNewIdentity(): Promise<boolean> {
    const latestMs = performance.now() + (this.#options.patienceMs ?? 3000);
    for (;;) {
      const identity = markOf(this.#options.identityFile);
      if (identity !== undefined && identity !== this.#identity) {
        const former = this.#client;
        this.#client = await this.#options.connect();
        this.#identity = identity;
        former.close();
        if (this.#isClosed) this.#client.close();
        return !this.#isClosed;
      }
      if (this.#isClosed || performance.now() > latestMs) return false;
      await pause(lookMs);
    }
  }
}

/** Another for each file that was put in its place. */
function markOf(file: string): string | undefined {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stats && `${stats.ino} ${stats.mtimeNs} ${stats.size}`;
}
