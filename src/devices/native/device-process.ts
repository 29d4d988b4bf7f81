import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { DeviceLink, LinkEvents } from "./device-link.ts";
import { DeviceFault } from "./fault.ts";
import { FramePipe } from "./frame-pipe.ts";
import { type FrameBody, FrameError, type FrameWriter } from "./frames.ts";
import { bytesOfStrings, fromDevice, readFault, toDevice, writeNumbers } from "./messages.ts";

const childModule = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./child.ts" : "./child.js", import.meta.url),
);
const longestInfoBytes = 64 * 1024;
const longestConfigBytes = 1024 * 1024;
const mostOperations = 1000;
/** Calls beyond the sessions that may run in libuv's threads: resolving names, reading files. */
const spareThreads = 2;
/**
 * What of this process's environment a library may see: where programs and its user's files are, language and time zone; and where
 * our own compiled code is kept, with which a start takes half the processor time.
 */
const handedOnVariables = /^(?:PATH|HOME|TZ|LANG|LC_[A-Z]+|NODE_COMPILE_CACHE)$/;

export interface DeviceProcessOptions {
  readonly program: URL;
  readonly config: unknown;
  readonly environment: Readonly<Record<string, string>>;
  /** As many library calls can be under way at once. */
  readonly sessions: number;
}

/**
 * Starts a device's process, hands it configuration and PIN over the socket once it has closed itself off, and carries calls.
 * The process's output is discarded: libraries are known to print PINs.
 */
export class DeviceProcess implements DeviceLink {
  readonly #child: ChildProcess | undefined;
  /** Undefined where no process could be started. */
  readonly #pipe: FramePipe | undefined;
  readonly #events: LinkEvents;
  readonly #operations = new Map<string, number>();
  readonly #config: Buffer;
  #pin: SecretBuffer | undefined;
  #stage: "started" | "ready" | "opened" = "started";

  /** @throws {RangeError} For a configuration above 1 MiB. */
  constructor(options: DeviceProcessOptions, events: LinkEvents, pin: SecretBuffer | undefined) {
    this.#events = events;
    this.#pin = pin;
    this.#config = Buffer.from(JSON.stringify(options.config ?? null));
    if (this.#config.length > longestConfigBytes)
      throw new RangeError(
        `the device's configuration has ${this.#config.length} bytes, more than ${longestConfigBytes}`,
      );
    const env = {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => handedOnVariables.test(name))),
      ...options.environment,
      UV_THREADPOOL_SIZE: String(options.sessions + spareThreads),
    };
    try {
      this.#child = spawn(process.execPath, [childModule, options.program.href], {
        env,
        stdio: ["ignore", "ignore", "ignore", "pipe"],
      });
    } catch (error) {
      // Too little memory, say. Whoever starts this is not ready to hear of it yet.
      setImmediate(() => this.#notStarted(error));
      return;
    }
    // Without a listener a failure to start it would end this process.
    this.#child.once("error", (error) => {
      if (this.#child?.pid === undefined) this.#notStarted(error);
    });
    // With no file descriptor left there are no pipes; the error follows.
    const socket = (this.#child.stdio as ChildProcess["stdio"] | undefined)?.[3];
    if (!(socket instanceof Duplex)) return;
    this.#pipe = new FramePipe(socket as Socket);
    const take = (type: number, body: FrameBody): void => this.#take(type, body);
    socket.on("data", (chunk: Buffer) => this.#arrived(chunk, take));
    // The process's end is what counts; it follows.
    socket.on("error", () => this.kill());
    // `close` comes after all that the process has written.
    this.#child.once("close", (exitCode, signal) => events.ended(exitCode, signal));
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  openSession(slot: number): void {
    this.#sendNumbers(toDevice.openSession, undefined, slot);
  }

  closeSession(slot: number): void {
    this.#sendNumbers(toDevice.closeSession, undefined, slot);
  }

  revoke(id: number): void {
    this.#sendNumbers(toDevice.revoke, id, undefined);
  }

  close(): void {
    this.#sendNumbers(toDevice.close, undefined, undefined);
  }

  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  call(id: number, slot: number, operation: string, args: readonly Buffer[]): void {
    const pipe = this.#pipe;
    if (pipe === undefined) return;
    const { writer } = pipe;
    const number = this.#operations.get(operation) ?? this.#introduce(operation, writer);
    writer.begin(toDevice.call, 8 + bytesOfStrings(args));
    writer.u32(id);
    writer.u16(slot);
    writer.u16(number);
    for (const argument of args) writer.bytes(argument);
    pipe.schedule();
  }

  #introduce(operation: string, writer: FrameWriter): number {
    const number = this.#operations.size;
    if (number >= mostOperations) throw new RangeError(`a device program has at most ${mostOperations} operations`);
    this.#operations.set(operation, number);
    const name = Buffer.from(operation);
    writer.begin(toDevice.operation, 2 + bytesOfStrings([name]));
    writer.u16(number);
    writer.bytes(name);
    return number;
  }

  #sendNumbers(type: number, u32: number | undefined, u16: number | undefined): void {
    const pipe = this.#pipe;
    if (pipe === undefined) return;
    writeNumbers(pipe.writer, type, u32, u16);
    pipe.schedule();
  }

  #arrived(chunk: Buffer, take: (type: number, body: FrameBody) => void): void {
    try {
      this.#pipe?.arrived(chunk, take);
    } catch (error) {
      // A library that breaks the framing costs its own process; so does a mistake of ours here, never the key manager.
      this.kill();
      if (error instanceof FrameError || error instanceof RangeError) return;
      process.emitWarning(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #take(type: number, body: FrameBody): void {
    const events = this.#events;
    switch (type) {
      case fromDevice.answered:
        events.answered(body.u32(), answersOf(body));
        break;
      case fromDevice.faulted:
        events.faulted(body.u32(), readFault(body));
        break;
      case fromDevice.revoked:
        events.revoked(body.u32());
        break;
      case fromDevice.sessionOpened:
        events.sessionOpened(body.u16());
        break;
      case fromDevice.sessionFailed:
        events.sessionFailed(body.u16(), readFault(body));
        break;
      case fromDevice.sessionClosed:
        events.sessionClosed(body.u16());
        break;
      case fromDevice.ready:
        this.#advance("started", "ready");
        this.#open();
        break;
      case fromDevice.alone:
        events.alone();
        break;
      case fromDevice.opened:
        this.#advance("ready", "opened");
        events.opened(infoOf(body));
        break;
      case fromDevice.failed:
        events.failed(readFault(body));
        break;
      case fromDevice.closed:
        events.closed();
        break;
      default:
        throw new FrameError(`there is no frame of type ${type}`);
    }
  }

  /** Each is said once, in this order: a second `opened` would leave the calls of the first without an end. */
  #advance(from: "started" | "ready", to: "ready" | "opened"): void {
    if (this.#stage !== from) throw new FrameError(`the device's process says ${to} when it has ${this.#stage}`);
    this.#stage = to;
  }

  #open(): void {
    const pipe = this.#pipe;
    if (pipe === undefined) return;
    const { writer } = pipe;
    const pin = this.#pin;
    this.#pin = undefined;
    if (pin?.disposed === true) {
      // The device was locked or closed while its process started: there is nothing left to open it with.
      this.kill();
      return;
    }
    writer.begin(toDevice.open, 4 + this.#config.length + 1 + (pin === undefined ? 0 : 4 + pin.byteLength));
    writer.bytes(this.#config);
    writer.u8(pin === undefined ? 0 : 1);
    pin?.expose((bytes) => writer.bytes(bytes));
    pipe.schedule();
  }

  #notStarted(error: unknown): void {
    const why = error instanceof Error && "code" in error ? String(error.code) : "it failed";
    const message = `the device's process could not be started: ${why}`;
    this.#events.failed(new DeviceFault({ kind: "device", code: "NOT_STARTED", message, evict: false }));
    this.#events.ended(null, null);
  }
}

/** Each in memory of its own: a caller may wipe or keep one of them without the others. */
function answersOf(body: FrameBody): readonly Buffer[] {
  const answers: Buffer[] = [];
  while (!body.atEnd) answers.push(body.bytes());
  return answers;
}

function infoOf(body: FrameBody): Readonly<Record<string, string | number | boolean>> {
  const text = body.bytes();
  body.end();
  if (text.length > longestInfoBytes) throw new FrameError("the device's description is too long");
  let info: unknown;
  try {
    info = JSON.parse(text.toString());
  } catch {
    throw new FrameError("the device's description is not JSON");
  }
  if (typeof info !== "object" || info === null || Array.isArray(info))
    throw new FrameError("the device's description is not an object");
  const known: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(info))
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") known[name] = value;
  return known;
}
