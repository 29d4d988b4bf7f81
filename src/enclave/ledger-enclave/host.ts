import { setTimeout as wait } from "node:timers/promises";
import { EnclaveError } from "../errors.ts";
import { toEvidence } from "../evidence/attestation-json.ts";
import type { LedgerConnection } from "../ledger/ledger.ts";
import { EnclaveProcess } from "../stub/enclave-process.ts";
import { type LedgerEnclaveStart, writeStart } from "./settings.ts";

export interface LedgerEnclaveHostOptions extends LedgerEnclaveStart {
  /** Where the blocks come from. */
  readonly connection: Pick<LedgerConnection, "blocks">;
  /** Puts collateral beside an attestation. @defaultValue none is needed, as with every type but Intel's */
  readonly evidenceOf?: (attestation: Uint8Array) => Promise<Uint8Array>;
  /**
   * The ledger gives no sign that a block is the last one there is: `start` takes it for that when none follows for this
   * long. @defaultValue `200`
   */
  readonly quietMs?: number;
  /** Module that the process runs. @defaultValue the ledger enclave of the product */
  readonly entry?: URL;
}

export interface LedgerEnclaveStatus {
  readonly pid: number;
  /** The last block that it has taken. */
  readonly block: bigint;
  /** Why it takes no more; undefined while it follows the channel. */
  readonly failure: EnclaveError | undefined;
}

const productEntry = new URL(import.meta.url.endsWith(".ts") ? "./main.ts" : "./main.js", import.meta.url);
/** Below the longest frame, with room for its head. */
const pieceBytes = 1 << 20;
const firstPauseMs = 50;
const longestPauseMs = 5_000;
const usualQuietMs = 200;
const mostBlocksFirst = 8;
/** Where blocks never cease, whoever asks has to ask again, or demand a block. */
const longestCatchUpMs = 30_000;

interface Running {
  readonly process: EnclaveProcess;
  readonly stop: AbortController;
  /** The last block that it has taken. */
  block: bigint;
  /** Whether it has been brought all that the ledger has given so far. */
  isIdle: boolean;
  readonly waiting: Set<() => void>;
  /** Why it takes no more blocks. */
  failure: EnclaveError | undefined;
  /** A call has found it ended; that the process is gone is told a moment later. */
  isOver: boolean;
}

/**
 * The untrusted host's part of the ledger enclave: starts its process, brings it the channel's blocks and passes on messages of
 * chaincode enclaves. A process that ended is started again when it is asked for, and hears the next message once it is as
 * far as the one before it was.
 */
export class LedgerEnclaveHost implements AsyncDisposable {
  readonly #options: LedgerEnclaveHostOptions;
  #running: Promise<Running> | undefined;
  /** The last block that any process of this host has taken. */
  #highestBlock = 0n;
  #pauseMs = firstPauseMs;
  #isClosed = false;

  private constructor(options: LedgerEnclaveHostOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the ledger enclave has taken the blocks that are there.
   *
   * @throws EnclaveError ENCLAVE_ENDED; SETTINGS_INVALID: no such platform; MALFORMED: the first block; LEDGER_UNAVAILABLE
   */
  static async start(options: LedgerEnclaveHostOptions): Promise<LedgerEnclaveHost> {
    const host = new LedgerEnclaveHost(options);
    await catchUp(await host.#get(), options.quietMs ?? usualQuietMs);
    return host;
  }

  /** Of the process that runs now; one is started where none does. @throws EnclaveError as {@link start} */
  async status(): Promise<LedgerEnclaveStatus> {
    const { process, block, failure } = await this.#get();
    return { pid: process.pid, block, failure };
  }

  /**
   * @param message - tl_session.SessionMsg of a chaincode enclave. @returns The ledger enclave's answer
   * @throws EnclaveError ENCLAVE_ENDED; LEDGER_UNAVAILABLE
   */
  async session(message: Uint8Array): Promise<Uint8Array> {
    for (let again = false; ; again = true) {
      const running = await this.#get();
      await broughtUpToDate(running);
      try {
        const [answer] = await running.process.call("session", message);
        if (answer === undefined) throw new EnclaveError("ENCLAVE_ENDED", "the ledger enclave gives no answer");
        return answer;
      } catch (error) {
        if (again || !isEnded(error)) throw error;
        // A new process knows no sessions: it says so, and the chaincode enclave begins a new one.
        running.isOver = true;
        running.process.kill();
      }
    }
  }

  /** Resolves once the ledger enclave has taken this block. @throws EnclaveError why it takes no more */
  async reached(block: bigint): Promise<void> {
    await reaches(await this.#get(), block);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const running = await this.#running?.catch(() => undefined);
    running?.stop.abort();
    await running?.process.end();
  }

  async #get(): Promise<Running> {
    const current = this.#running;
    const running = await current?.catch(() => undefined);
    if (running?.process.alive === true && !running.isOver) return running;
    if (this.#isClosed) throw new EnclaveError("LEDGER_UNAVAILABLE", "the ledger enclave is ended");
    running?.stop.abort();
    // Somebody else may have started another one meanwhile.
    let next = this.#running;
    if (next === undefined || next === current) {
      next = this.#start(current !== undefined);
      this.#running = next;
    }
    return await next;
  }

  async #start(isAgain: boolean): Promise<Running> {
    if (isAgain) {
      await wait(this.#pauseMs);
      this.#pauseMs = Math.min(longestPauseMs, this.#pauseMs * 2);
    }
    const { connection, tee, erccName, entry = productEntry } = this.#options;
    const evidenceOf = this.#options.evidenceOf ?? (async (attestation: Uint8Array) => toEvidence(attestation));
    const process = new EnclaveProcess({
      entry,
      answer: async (name, [attestation]) => {
        if (name !== "evidence" || attestation === undefined)
          throw new EnclaveError("MALFORMED", `the ledger enclave calls for ${name}`);
        return [await evidenceOf(attestation)];
      },
    });
    const stop = new AbortController();
    const running: Running = {
      process,
      stop,
      block: 0n,
      isIdle: true,
      waiting: new Set(),
      failure: undefined,
      isOver: false,
    };
    try {
      const blocks = connection.blocks(0n, stop.signal)[Symbol.asyncIterator]();
      const first = await blocks.next();
      if (first.done === true) throw new EnclaveError("LEDGER_UNAVAILABLE", "the ledger gives no blocks");
      await process.call("start", writeStart({ tee, erccName }), first.value);
      void this.#feed(running, blocks);
      await reaches(running, this.#highestBlock);
    } catch (error) {
      stop.abort();
      process.kill();
      throw error;
    }
    this.#pauseMs = firstPauseMs;
    return running;
  }

  async #feed(running: Running, blocks: AsyncIterator<Uint8Array>): Promise<void> {
    try {
      for (let next = await blocks.next(); next.done !== true; next = await blocks.next()) {
        running.isIdle = false;
        running.block = await bring(running.process, next.value);
        if (running.block > this.#highestBlock) this.#highestBlock = running.block;
        running.isIdle = true;
        wakeAll(running);
      }
      running.failure = new EnclaveError("LEDGER_UNAVAILABLE", "the ledger gives no more blocks");
    } catch (error) {
      running.failure =
        error instanceof EnclaveError
          ? error
          : new EnclaveError("LEDGER_UNAVAILABLE", "the ledger gives no more blocks", { cause: error });
    }
    running.isIdle = true;
    wakeAll(running);
  }
}

async function catchUp(running: Running, quietMs: number): Promise<void> {
  const end = Date.now() + longestCatchUpMs;
  for (let before = -1n; running.block !== before && running.failure === undefined && Date.now() < end; ) {
    before = running.block;
    await wait(quietMs);
  }
}

async function reaches(running: Running, block: bigint): Promise<void> {
  while (running.block < block) {
    if (running.failure !== undefined) throw running.failure;
    await nextChange(running);
  }
}

/**
 * Who has just heard that his transaction is committed asks about it next: the block is on its way to the ledger enclave then,
 * and goes first. On a busy channel no more than the few blocks that come meanwhile are waited for.
 */
async function broughtUpToDate(running: Running): Promise<void> {
  for (let blocks = 0; blocks < mostBlocksFirst; blocks += 1) {
    // What the ledger gives becomes known here in the loop's next turn.
    await new Promise((resolve) => setImmediate(resolve));
    if (running.isIdle) return;
    await nextChange(running);
  }
}

function nextChange(running: Running): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      running.waiting.delete(wake);
      resolve();
    };
    running.waiting.add(wake);
  });
}

function wakeAll({ waiting }: Running): void {
  for (const wake of [...waiting]) wake();
}

/** @returns The number of the last block that the ledger enclave has now */
async function bring(process: EnclaveProcess, block: Uint8Array): Promise<bigint> {
  let answer: readonly Buffer[] = [];
  for (let at = 0; at < block.length; at += pieceBytes) {
    const end = Math.min(block.length, at + pieceBytes);
    answer = await process.call("block", Buffer.of(end === block.length ? 1 : 0), block.subarray(at, end));
  }
  const [number] = answer;
  if (number?.length !== 8) throw new EnclaveError("ENCLAVE_ENDED", "the ledger enclave does not say where it is");
  return number.readBigUInt64BE();
}

function isEnded(error: unknown): boolean {
  return error instanceof EnclaveError && error.code === "ENCLAVE_ENDED";
}
