import type { Duplex } from "node:stream";
import { EnclaveError, fromAbortText, toAbortText } from "../errors.ts";
import { encodeFrame, type Frame, FrameCutter, FrameError } from "./frames.ts";

/** Answers the other side's calls. What it throws goes back as its code and message. */
export type Answerer = (name: string, parts: readonly Buffer[]) => Promise<readonly Uint8Array[]>;

export interface ChannelOptions {
  readonly answer: Answerer;
  /** Whether a call of this side's, which is being made, is for a client of the channel. @defaultValue none is */
  readonly isForClient?: (name: string) => boolean;
  /** Once, when nothing can come or go any more. */
  readonly closed: (error: Error | undefined) => void;
  /** What is thrown for an error that has no code: a mistake of this side's. @returns The text that the other side gets */
  readonly unexpected: (error: unknown) => string;
}

interface Pending {
  readonly isForClient: boolean;
  readonly resolve: (parts: readonly Buffer[]) => void;
  readonly reject: (error: EnclaveError) => void;
}

interface Waiting extends Pending {
  readonly name: string;
  readonly parts: readonly Uint8Array[];
}

/** Whose other side sends more breaks the protocol; this side lets the rest wait, and keeps the last place for the end. */
const mostCallsAtOnce = 256;
/** The others are kept free for the operator's steps, however many calls clients make. */
const mostCallsOfClients = 223;
const lastCall = "end";
const longestNameBytes = 64;

/** Calls in both directions over one socket: ecalls from the host's agent to the enclave, ocalls from the enclave while one runs. */
export class CallChannel {
  readonly #socket: Duplex;
  readonly #options: ChannelOptions;
  readonly #cutter = new FrameCutter();
  readonly #pending = new Map<number, Pending>();
  readonly #waitingSteps: Waiting[] = [];
  readonly #waitingForClients: Waiting[] = [];
  #lastNumber = 0;
  #answering = 0;
  #callsOfClients = 0;
  #closed = false;

  constructor(socket: Duplex, options: ChannelOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on("data", (chunk: Buffer) => this.#arrived(chunk));
    socket.on("error", (error) => this.#close(error));
    for (const event of ["end", "close"]) socket.on(event, () => this.#close(undefined));
  }

  /**
   * However many are made at once: those above a limit wait until others are answered, and those for clients do not keep others waiting.
   *
   * @throws EnclaveError what the other side refused with; ENCLAVE_ENDED where it is not there, or ends before its answer
   */
  call(name: string, ...parts: readonly Uint8Array[]): Promise<readonly Buffer[]> {
    if (this.#closed) return Promise.reject(ended());
    return new Promise((resolve, reject) => {
      const isForClient = this.#options.isForClient?.(name) ?? false;
      const waiting: Waiting = { name, parts, isForClient, resolve, reject };
      if (name === lastCall || this.#hasPlace(isForClient)) this.#begin(waiting);
      else (isForClient ? this.#waitingForClients : this.#waitingSteps).push(waiting);
    });
  }

  #hasPlace(isForClient: boolean): boolean {
    return this.#pending.size < mostCallsAtOnce - 1 && !(isForClient && this.#callsOfClients >= mostCallsOfClients);
  }

  #begin({ name, parts, ...pending }: Waiting): void {
    this.#lastNumber = (this.#lastNumber + 1) >>> 0;
    const number = this.#lastNumber;
    this.#pending.set(number, pending);
    if (pending.isForClient) this.#callsOfClients += 1;
    try {
      this.#send("call", number, [Buffer.from(name), ...parts]);
    } catch (cause) {
      this.#takeOut(number);
      pending.reject(new EnclaveError("MALFORMED", `the arguments of ${name} are too long`, { cause }));
    }
  }

  #takeOut(number: number): Pending | undefined {
    const pending = this.#pending.get(number);
    if (this.#pending.delete(number) && pending?.isForClient) this.#callsOfClients -= 1;
    return pending;
  }

  #beginNext(): void {
    for (const isForClient of [false, true]) {
      const waiting = isForClient ? this.#waitingForClients : this.#waitingSteps;
      while (waiting.length > 0 && this.#hasPlace(isForClient)) this.#begin(waiting.shift() as Waiting);
    }
  }

  /** Sends what is under way and ends this side. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) resolve();
      else this.#socket.end(() => resolve());
    });
  }

  #arrived(chunk: Buffer): void {
    try {
      for (const frame of this.#cutter.push(chunk)) this.#take(frame);
    } catch (error) {
      this.#close(error as Error);
      this.#socket.destroy();
    }
  }

  #take({ kind, number, parts }: Frame): void {
    if (kind === "call") {
      const [name, ...rest] = parts;
      if (name === undefined || name.length > longestNameBytes) throw new FrameError("a call has no name");
      if (this.#answering >= mostCallsAtOnce) throw new FrameError("too many calls at once");
      this.#answering += 1;
      void this.#answer(number, name.toString("latin1"), rest);
      return;
    }
    const pending = this.#takeOut(number);
    if (pending === undefined) throw new FrameError(`there is no call ${number} under way`);
    if (kind === "answer") pending.resolve(parts);
    else pending.reject(errorOf(parts));
    this.#beginNext();
  }

  async #answer(number: number, name: string, parts: readonly Buffer[]): Promise<void> {
    try {
      this.#send("answer", number, await this.#options.answer(name, parts));
    } catch (thrown) {
      const isTooLong = thrown instanceof FrameError;
      const error = isTooLong ? new EnclaveError("MALFORMED", `the answer to ${name} is too long`) : thrown;
      const text = error instanceof EnclaveError ? toAbortText(error) : this.#options.unexpected(error);
      this.#send("fault", number, [Buffer.from(text)]);
    } finally {
      this.#answering -= 1;
    }
  }

  #send(kind: Frame["kind"], number: number, parts: readonly Uint8Array[]): void {
    const frame = encodeFrame({ kind, number, parts: parts.map((part) => Buffer.from(part)) });
    if (this.#socket.writable) this.#socket.write(frame);
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    const waiting = [...this.#waitingSteps.splice(0), ...this.#waitingForClients.splice(0)];
    for (const { reject } of [...this.#pending.values(), ...waiting]) reject(ended());
    this.#pending.clear();
    this.#options.closed(error);
  }
}

function errorOf(parts: readonly Buffer[]): EnclaveError {
  const text = parts[0]?.toString() ?? "";
  return fromAbortText(text) ?? new EnclaveError("ENCLAVE_ENDED", "the other side failed without a reason");
}

function ended(): EnclaveError {
  return new EnclaveError("ENCLAVE_ENDED", "the enclave's process ended before it had answered", {
    hint: "call again: the enclave starts from its sealed blob, and each step can be repeated",
  });
}
