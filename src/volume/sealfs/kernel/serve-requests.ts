import { drawTogether } from "../../../crypto/kernel-random.ts";
import type { FileSystem } from "../file-system.ts";
import { errno } from "../fs-error.ts";
import { inHeaderBytes, writeInBytes } from "./protocol.ts";
import { type Fault, RequestHandler } from "./request-handler.ts";
import { largestTransferBytes } from "./session.ts";
import { Spinning } from "./spinning.ts";
import type { KernelCalls } from "./system-calls.ts";

const EINTR = 4;
const ECONNABORTED = 103;
/** struct pollfd: fd, events, revents. */
const pollEntryBytes = 8;
const pollIn = 1;
/** After so many answers without a pause the control is looked at as well. */
const answersBetweenLooks = 256;
const failedWorkDelayMs = 1000;
/** Nobody else changes the files, so names stay known for a day. Attributes are asked for again, since `blocks` changes with a commit. */
const defaultTimes = { entrySeconds: 86_400, attributeSeconds: 60 } as const;

/** A second descriptor that the server listens to, such as a pipe from the process that started it. */
export interface Control {
  readonly descriptor: number;
  /**
   * Called when there is something to read, or the other end is closed. Reads it, without blocking.
   *
   * @returns Whether to go on serving; `leave`: to go on, and to listen to this descriptor no more.
   */
  ready(): "goOn" | "leave" | "stop";
}

export interface Service {
  readonly calls: KernelCalls;
  /** Of `mountFuseServer`. Stays open. */
  readonly descriptor: number;
  readonly fileSystem: FileSystem;
  /**
   * A little work between requests. @returns After how many milliseconds to call again, with requests waiting or without; undefined:
   * when requests have been answered; `stop`: never, and to serve no more.
   */
  readonly idle?: () => number | "stop" | undefined;
  readonly control?: Control;
  /** Told of requests that failed without an FsError, which were answered with EIO, and of work between requests that failed. */
  readonly onFault: (fault: Fault) => void;
  readonly entrySeconds?: number;
  readonly attributeSeconds?: number;
  /** How it waits for the next request. Left out: by this machine's cores and clock. */
  readonly spinning?: Spinning;
}

/**
 * Serves a mount until it is unmounted or the control says stop. Blocks this process: no timers, no promises, no signal handlers
 * run meanwhile. Handles may be open when it returns, and nodes remembered, since the kernel waits for neither RELEASE nor FORGET:
 * the file system is to be closed as a whole then. What was read or written is wiped from the buffers at the end.
 *
 * @throws {Error} When /dev/fuse fails in a way that can't be gone on from.
 */
export function serveRequests(service: Service): "unmounted" | "stopped" {
  const request = Buffer.alloc(inHeaderBytes + writeInBytes + largestTransferBytes);
  using handler = new RequestHandler({
    fileSystem: service.fileSystem,
    times: {
      entrySeconds: service.entrySeconds ?? defaultTimes.entrySeconds,
      attributeSeconds: service.attributeSeconds ?? defaultTimes.attributeSeconds,
    },
    onFault: service.onFault,
  });
  try {
    return new Loop(service, handler, request).run();
  } finally {
    request.fill(0);
  }
}

class Loop {
  readonly #service: Service;
  readonly #handler: RequestHandler;
  readonly #request: Buffer;
  readonly #polled: Buffer;
  readonly #spinning: Spinning;
  #polledCount: number;
  /** When `idle` is to be called even if requests wait; undefined: when none wait. */
  #idleAtMs: number | undefined = 0;
  #answersSinceLook = 0;

  constructor(service: Service, handler: RequestHandler, request: Buffer) {
    this.#service = service;
    this.#handler = handler;
    this.#request = request;
    this.#spinning = service.spinning ?? new Spinning();
    this.#polledCount = service.control === undefined ? 1 : 2;
    this.#polled = Buffer.alloc(2 * pollEntryBytes);
    this.#polled.writeInt32LE(service.descriptor, 0);
    this.#polled.writeInt16LE(pollIn, 4);
    this.#polled.writeInt32LE(service.control?.descriptor ?? -1, pollEntryBytes);
    this.#polled.writeInt16LE(pollIn, pollEntryBytes + 4);
  }

  run(): "unmounted" | "stopped" {
    while (true) {
      const got = this.#answerOne();
      if (got === "unmounted") return got;
      if (got === "nothing") {
        if (this.#spinning.looksAgain()) continue;
        const timeoutMs = this.#idle();
        if (timeoutMs === "stop" || !this.#wait(timeoutMs)) return "stopped";
        continue;
      }
      if (this.#idleAtMs !== undefined && performance.now() >= this.#idleAtMs && this.#idle() === "stop")
        return "stopped";
      this.#answersSinceLook += 1;
      if (this.#answersSinceLook >= answersBetweenLooks && !this.#wait(0)) return "stopped";
    }
  }

  #answerOne(): "answered" | "nothing" | "unmounted" {
    const { calls, descriptor } = this.#service;
    const length = calls.read(descriptor, this.#request);
    if (length < 0) {
      if (length === -errno.EAGAIN) return "nothing";
      if (length === -errno.ENODEV || length === -ECONNABORTED) return "unmounted";
      // ENOENT: the caller was killed before its request was read.
      if (length === -EINTR || length === -errno.ENOENT) return "answered";
      throw new Error(`reading from /dev/fuse failed: ${calls.errnoName(-length)}`);
    }
    this.#spinning.requestCame();
    const answerLength = drawTogether(() => this.#handler.answer(this.#request.subarray(0, length)));
    if (answerLength > 0) this.#write(answerLength);
    return "answered";
  }

  #write(length: number): void {
    const { calls, descriptor } = this.#service;
    let written = calls.write(descriptor, this.#handler.answerMemory, length);
    while (written === -EINTR) written = calls.write(descriptor, this.#handler.answerMemory, length);
    // ENOENT: the caller has gone meanwhile. ENODEV: unmounted, which the next read says as well.
    if (written < 0 && written !== -errno.ENOENT && written !== -errno.ENODEV)
      this.#service.onFault({
        request: "an answer",
        node: 0,
        error: new Error(`/dev/fuse refused ${length} bytes: ${calls.errnoName(-written)}`),
      });
  }

  /** Calls `idle` if its time has come. @returns How long to wait for a request, in milliseconds; negative: for ever. */
  #idle(): number | "stop" {
    const { idle } = this.#service;
    if (idle === undefined) return -1;
    const nowMs = performance.now();
    if (this.#idleAtMs === undefined || nowMs >= this.#idleAtMs) {
      const delayMs = this.#workOnce(idle);
      if (delayMs === "stop") return delayMs;
      this.#idleAtMs = delayMs === undefined ? undefined : nowMs + delayMs;
    }
    return this.#idleAtMs === undefined ? -1 : Math.max(0, Math.ceil(this.#idleAtMs - performance.now()));
  }

  /** Work that fails is told of and tried again later; files are served whatever becomes of it. */
  #workOnce(idle: () => number | "stop" | undefined): number | "stop" | undefined {
    try {
      return idle();
    } catch (error) {
      this.#service.onFault({ request: "work between requests", node: 0, error });
      return failedWorkDelayMs;
    }
  }

  /** @returns False when the control says stop. */
  #wait(timeoutMs: number): boolean {
    const { calls, control } = this.#service;
    this.#answersSinceLook = 0;
    const ready = calls.poll(this.#polled, this.#polledCount, timeoutMs);
    if (ready < 0 && ready !== -EINTR) throw new Error(`waiting for /dev/fuse failed: ${calls.errnoName(-ready)}`);
    if (ready <= 0 || control === undefined || this.#polled.readInt16LE(pollEntryBytes + 6) === 0) return true;
    const answer = control.ready();
    // What was asked there may give work to do.
    this.#idleAtMs = undefined;
    if (answer === "leave") {
      this.#polledCount = 1;
      this.#polled.writeInt16LE(0, pollEntryBytes + 6);
    }
    return answer !== "stop";
  }
}
