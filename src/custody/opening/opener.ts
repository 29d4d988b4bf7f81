import { Worker } from "node:worker_threads";
import { CryptoError } from "../../crypto/errors.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { type Opening, openDataKey, packOpenings, unpackOpened } from "./packed-openings.ts";

/** Opens wrapped data keys. */
export interface Opener {
  /**
   * Disposes of the opening's secret, whatever comes of it.
   *
   * @throws {CryptoError} `BOX_REFUSED`.
   */
  open(opening: Opening): Promise<SecretBuffer>;
  close(): Promise<void>;
}

/** Opens in the caller's own thread: for commands that run once. */
export class DirectOpener implements Opener {
  async open(opening: Opening): Promise<SecretBuffer> {
    using _secret = opening.secret;
    return openDataKey(opening);
  }

  async close(): Promise<void> {}
}

interface Waiting {
  readonly opening: Opening;
  resolve(opened: SecretBuffer): void;
  reject(error: Error): void;
}

/** Fewer than this cost less to open here than to hand over. */
const worthHandingOver = 4;
/** The most that go over at once, so that the first of a crowd does not wait for the last. */
const mostAtOnce = 16;

/**
 * Opens in a thread of its own what comes in crowds: a quarter of an unwrap's work is done beside the connections'.
 * A few are opened here, at once. When the thread is lost, so are the openings that it had; all later ones are done here.
 */
export class ThreadedOpener implements Opener {
  #worker: Worker | undefined;
  readonly #sent: (readonly Waiting[])[] = [];
  #gathered: Waiting[] = [];
  readonly #onLost: (error: Error) => void;

  /** @param onLost - Told when the thread ends by itself. */
  constructor(onLost: (error: Error) => void = () => {}) {
    this.#onLost = onLost;
    const file = import.meta.url.endsWith(".ts") ? "./opening-worker.ts" : "./opening-worker.js";
    this.#worker = new Worker(new URL(file, import.meta.url));
    this.#worker.on("message", (packed: ArrayBuffer) => this.#settle(packed));
    this.#worker.on("error", (error: unknown) => this.#end(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on("exit", () => this.#end(new Error("the thread that opens wrapped keys has ended")));
  }

  open(opening: Opening): Promise<SecretBuffer> {
    return new Promise((resolve, reject) => {
      if (this.#gathered.push({ opening, resolve, reject }) === 1) setImmediate(() => this.#handOver());
    });
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #handOver(): void {
    const gathered = this.#gathered;
    this.#gathered = [];
    if (this.#worker === undefined || gathered.length < worthHandingOver) {
      for (const each of gathered) openHere(each);
      return;
    }
    for (let from = 0; from < gathered.length; from += mostAtOnce) {
      const some = gathered.slice(from, from + mostAtOnce);
      const packed = packOpenings(some.map(({ opening }) => opening));
      for (const { opening } of some) opening.secret[Symbol.dispose]();
      this.#send(this.#worker, packed, some);
    }
  }

  #send(worker: Worker, packed: ArrayBuffer, some: readonly Waiting[]): void {
    try {
      worker.postMessage(packed, [packed]);
      this.#sent.push(some);
    } catch (error) {
      Buffer.from(packed).fill(0);
      for (const { reject } of some) reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #settle(packed: ArrayBuffer): void {
    const opened = unpackOpened(packed);
    for (const [index, { resolve, reject }] of (this.#sent.shift() ?? []).entries()) {
      const plaintext = opened[index];
      if (plaintext === undefined) reject(new CryptoError("BOX_REFUSED"));
      else resolve(plaintext);
    }
  }

  #end(error: Error): void {
    if (this.#worker !== undefined) this.#onLost(error);
    this.#worker = undefined;
    for (const each of this.#sent.splice(0).flat()) each.reject(error);
  }
}

function openHere({ opening, resolve, reject }: Waiting): void {
  using _secret = opening.secret;
  try {
    resolve(openDataKey(opening));
  } catch (error) {
    reject(error instanceof Error ? error : new Error(String(error)));
  }
}
