/**
 * The process of one device: `node child.ts PROGRAM-URL`, with a socket to the process that started it as file descriptor 3.
 * Everything else arrives over the socket. It ends when the socket does.
 */
import { Socket } from "node:net";
import { closeProcessOff } from "../../crypto/closed-process.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DeviceFault, type FaultFacts } from "./fault.ts";
import { FramePipe } from "./frame-pipe.ts";
import type { FrameBody } from "./frames.ts";
import { bytesOfStrings, fromDevice, toDevice, writeFault, writeNumbers } from "./messages.ts";
import type { DeviceProgram } from "./program.ts";
import { runLoopPromptly } from "./scheduling-slice.ts";
import { factsOf, type HostReplies, SessionHost } from "./session-host.ts";

const socketDescriptor = 3;
const readBufferBytes = 64 * 1024;

let host: SessionHost | undefined;
let pin: SecretBuffer | undefined;
let program: DeviceProgram | undefined;
const operations: string[] = [];

/** At once and without the library's own ending: its threads may hang, and nobody is left to wait for it. */
function endNow(): void {
  process.kill(process.pid, "SIGKILL");
}

const readBuffer = Buffer.allocUnsafeSlow(readBufferBytes);
const socket = new Socket({
  fd: socketDescriptor,
  readable: true,
  writable: true,
  onread: {
    buffer: readBuffer,
    callback: (bytes) => {
      pipe.arrived(readBuffer.subarray(0, bytes), take);
      return true;
    },
  },
});
const pipe = new FramePipe(socket);
const { writer } = pipe;
for (const event of ["end", "error", "close"]) socket.on(event, endNow);
// Sent to the whole group at Ctrl-C or by a service manager; our starter ends us once what runs has come back.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => undefined);

const replies: HostReplies = {
  alone: () => sendNumbers(fromDevice.alone, undefined, undefined),
  sessionOpened: (slot) => sendNumbers(fromDevice.sessionOpened, undefined, slot),
  sessionClosed: (slot) => sendNumbers(fromDevice.sessionClosed, undefined, slot),
  sessionFailed: (slot, fault) => {
    writeFault(writer, fromDevice.sessionFailed, undefined, slot, fault);
    pipe.schedule();
  },
  faulted: (id, fault) => {
    writeFault(writer, fromDevice.faulted, id, undefined, fault);
    pipe.schedule();
  },
  revoked: (id) => sendNumbers(fromDevice.revoked, id, undefined),
  answered: (id, answers) => {
    writer.begin(fromDevice.answered, 4 + bytesOfStrings(answers));
    writer.u32(id);
    for (const answer of answers) writer.bytes(answer);
    pipe.schedule();
  },
};

function sendNumbers(type: number, u32: number | undefined, u16: number | undefined): void {
  writeNumbers(writer, type, u32, u16);
  pipe.schedule();
}

function take(type: number, body: FrameBody): void {
  switch (type) {
    case toDevice.call: {
      const id = body.u32();
      const slot = body.u16();
      host?.call(id, slot, operations[body.u16()] ?? "", body.rest());
      break;
    }
    case toDevice.operation: {
      const number = body.u16();
      operations[number] = body.bytes().toString();
      break;
    }
    case toDevice.revoke:
      host?.revoke(body.u32());
      break;
    case toDevice.openSession:
      host?.openSession(body.u16());
      break;
    case toDevice.closeSession:
      host?.closeSession(body.u16());
      break;
    case toDevice.open: {
      const config = body.bytes().toString();
      const hasPin = body.u8() === 1;
      void open(config, hasPin ? SecretBuffer.adopt(body.bytes()) : undefined);
      break;
    }
    case toDevice.close:
      void close();
      break;
    default:
      endNow();
  }
}

async function open(config: string, secret: SecretBuffer | undefined): Promise<void> {
  pin = secret;
  try {
    const device = await program?.open(JSON.parse(config), pin);
    if (device === undefined) throw new TypeError("no program");
    await runLoopPromptly();
    const info = Buffer.from(JSON.stringify(device.info));
    host = new SessionHost(device, replies);
    writer.begin(fromDevice.opened, bytesOfStrings([info]));
    writer.bytes(info);
    pipe.schedule();
  } catch (error) {
    fail(factsOf(error));
  }
}

async function close(): Promise<void> {
  await host?.close();
  pin?.[Symbol.dispose]();
  writeNumbers(writer, fromDevice.closed, undefined, undefined);
  pipe.flush(() => process.exit(0));
}

/** Tells why there is no device, and ends. */
function fail(fault: FaultFacts): void {
  pin?.[Symbol.dispose]();
  writeFault(writer, fromDevice.failed, undefined, undefined, fault);
  pipe.flush(() => process.exit(1));
}

async function closeOff(): Promise<void> {
  await closeProcessOff().catch((cause: Error) => {
    throw new DeviceFault({
      kind: "device",
      code: "NOT_CLOSED_OFF",
      message: `the device's process cannot make its memory unreadable to others: ${cause.message}; use Linux with glibc, on x86-64 or arm64`,
    });
  });
}

try {
  await closeOff();
  program = ((await import(process.argv[2] ?? "")) as { program?: DeviceProgram }).program;
  if (program === undefined)
    throw new DeviceFault({ kind: "device", code: "NO_PROGRAM", message: "the device's module exports no program" });
  sendNumbers(fromDevice.ready, undefined, undefined);
} catch (error) {
  fail(factsOf(error));
}
