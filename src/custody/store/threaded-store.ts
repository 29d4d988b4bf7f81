import { Worker } from "node:worker_threads";
import { CustodyError, type CustodyErrorCode, custodyErrors } from "../errors.ts";
import { headToHandOver, packChange } from "./packed-change.ts";
import type { StoreAnswer, StoreCall } from "./sqlite-worker.ts";
import type { Store, StoreChange, StoredAuditEntry, StoredHead, StoredRow } from "./store.ts";

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * The embedded store in a thread of its own: a commit waits for the disk there, while this thread goes on with the next
 * requests. For servers; a command that runs once is quicker with `SqliteStore` itself.
 */
export class ThreadedStore implements Store {
  readonly #worker: Worker;
  /** By the call's id; ids are used again. A Map that comes to be empty after each call would make a new table each time. */
  readonly #waiting: (Waiting | undefined)[] = [];
  #ended: Error | undefined;
  #closing = false;
  readonly #onLost: (error: Error) => void;

  private constructor(worker: Worker, onLost: (error: Error) => void) {
    this.#worker = worker;
    this.#onLost = onLost;
    worker.on("message", (answer: StoreAnswer) => this.#settle(answer));
    worker.on("error", (error: unknown) => this.#end(error instanceof Error ? error : new Error(String(error))));
    worker.on("exit", () => this.#end(new Error("the store's thread has ended")));
  }

  /**
   * @param onLost - Told when the thread ends while the store is open: every call after it fails, and will.
   * @throws {CustodyError} `STORE_UNUSABLE`.
   */
  static async open(path: string, onLost: (error: Error) => void = () => {}): Promise<ThreadedStore> {
    const module = new URL(
      import.meta.url.endsWith(".ts") ? "./sqlite-worker.ts" : "./sqlite-worker.js",
      import.meta.url,
    );
    const store = new ThreadedStore(new Worker(module, { workerData: { path } }), onLost);
    try {
      await new Promise((resolve, reject) => store.#expect({ resolve, reject }));
    } catch (error) {
      store.#closing = true;
      throw error;
    }
    return store;
  }

  readHead(): Promise<StoredHead | undefined> {
    return this.#call("readHead") as Promise<StoredHead | undefined>;
  }

  readRowsAfter(version: number): Promise<readonly StoredRow[]> {
    return this.#call("readRowsAfter", version) as Promise<readonly StoredRow[]>;
  }

  commit(expected: StoredHead | undefined, change: StoreChange): Promise<boolean> {
    const packed = packChange(change);
    return this.#send({
      method: "commit",
      args: [expected && headToHandOver(expected), packed ?? change],
      packed: packed !== undefined,
    }) as Promise<boolean>;
  }

  readAudit(after: number, limit: number): Promise<readonly StoredAuditEntry[]> {
    return this.#call("readAudit", after, limit) as Promise<readonly StoredAuditEntry[]>;
  }

  async close(): Promise<void> {
    this.#closing = true;
    // A thread that is gone, or goes just now, has let go of the file.
    if (this.#ended === undefined)
      await this.#call("close").catch((error: unknown) => {
        if (this.#ended === undefined) throw error;
      });
    await this.#worker.terminate();
  }

  #call(method: keyof Store, ...args: readonly unknown[]): Promise<unknown> {
    return this.#send({ method, args });
  }

  #send(call: Omit<StoreCall, "id">): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const id = this.#expect({ resolve, reject });
      this.#worker.postMessage({ id, ...call } satisfies StoreCall);
    });
  }

  /** The id of the answer that is waited for. That of the opening, the first, is 0. */
  #expect(waiting: Waiting): number {
    const free = this.#waiting.indexOf(undefined);
    const id = free < 0 ? this.#waiting.length : free;
    this.#waiting[id] = waiting;
    return id;
  }

  #settle({ id, value, error }: StoreAnswer): void {
    const waiting = this.#waiting[id];
    this.#waiting[id] = undefined;
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(errorOf(error));
  }

  #end(error: Error): void {
    const first = this.#ended === undefined;
    this.#ended ??= error;
    if (first && !this.#closing) this.#onLost(error);
    for (const waiting of this.#waiting.splice(0)) waiting?.reject(this.#ended);
  }
}

function errorOf({ message, code }: NonNullable<StoreAnswer["error"]>): Error {
  return code !== undefined && Object.hasOwn(custodyErrors, code)
    ? new CustodyError(code as CustodyErrorCode, message)
    : new Error(message);
}
