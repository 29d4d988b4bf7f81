import { readFileSync, writeFileSync, writeSync } from "node:fs";
import type { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { DeviceFault } from "../../../../src/devices/native/fault.ts";
import type { DeviceProgram, DeviceSession, OpenedDevice } from "../../../../src/devices/native/program.ts";

/** A pretended library: says so, does what its operations are called, and checks that the host keeps its promises. */
interface FakeConfig {
  /** A wrong PIN is any other than this one; left out: no PIN is wanted. */
  readonly pin?: string;
  /** The right PIN is read from this file at each opening. */
  readonly pinFile?: string;
  /** How opening the device goes wrong. */
  readonly openFails?: "comm" | "exit" | "hang" | "throw";
  /** A file in which each opening of the device leaves one byte. */
  readonly openings?: string;
}

let running = 0;
let exclusive = 0;

function refuseOverlap(condition: boolean): void {
  if (condition) process.abort();
}

async function exclusively<T>(run: () => Promise<T>): Promise<T> {
  refuseOverlap(running > 0 || exclusive > 0);
  exclusive += 1;
  await new Promise((resolve) => setTimeout(resolve, 2));
  const result = await run();
  exclusive -= 1;
  return result;
}

class FakeSession implements DeviceSession {
  #busy = false;

  async call(operation: string, args: readonly Buffer[]): Promise<readonly Buffer[]> {
    refuseOverlap(this.#busy || exclusive > 0);
    this.#busy = true;
    running += 1;
    try {
      return await this.#run(operation, args);
    } finally {
      running -= 1;
      this.#busy = false;
    }
  }

  async #run(operation: string, args: readonly Buffer[]): Promise<readonly Buffer[]> {
    switch (operation) {
      case "echo":
        return args.map((argument) => Buffer.from(argument));
      case "sleep":
        await new Promise((resolve) => setTimeout(resolve, args[0]?.readUInt32LE(0)));
        return [];
      case "forge":
        // As a library could: the socket to our starter is open in its process.
        writeSync(3, args[0] ?? Buffer.alloc(0));
        await new Promise((resolve) => setTimeout(resolve, 60_000));
        return [];
      case "burn": {
        const endsMs = performance.now() + (args[0]?.readUInt32LE(0) ?? 0) / 1000;
        while (performance.now() < endsMs);
        return [Buffer.alloc(64)];
      }
      case "hang":
        return new Promise(() => undefined);
      case "hang-thread":
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
        return [];
      case "exit":
        process.exit(3);
        break;
      case "crash":
        process.kill(process.pid, "SIGSEGV");
        return new Promise(() => undefined);
      case "pid":
        return [Buffer.from(String(process.pid))];
      case "environment":
        return [Buffer.from(JSON.stringify({ env: process.env, argv: process.argv }))];
      case "lose-session":
        throw new DeviceFault({ kind: "session", code: "0x01010106", message: "the session is gone" });
      case "leak":
        throw new Error(`secret ${args[0]?.toString()}`);
    }
    throw new DeviceFault({ kind: "unsupported", code: "0x01000002", message: `there is no ${operation}` });
  }

  close(): Promise<void> {
    return exclusively(() => Promise.resolve());
  }
}

export const program: DeviceProgram<FakeConfig> = {
  async open(config: FakeConfig, pin: SecretBuffer | undefined): Promise<OpenedDevice> {
    if (config.openings !== undefined) writeFileSync(config.openings, ".", { flag: "a" });
    const wanted = config.pinFile === undefined ? config.pin : readFileSync(config.pinFile, "utf8");
    if (wanted !== undefined && pin?.equals(Buffer.from(wanted)) !== true)
      throw new DeviceFault({ kind: "auth", code: "0x01000100", message: "the PIN is wrong" });
    if (config.openFails === "comm")
      throw new DeviceFault({ kind: "comm", code: "0x01000003", message: "the card does not answer" });
    if (config.openFails === "exit") process.exit(9);
    if (config.openFails === "hang") return new Promise(() => undefined);
    if (config.openFails === "throw") throw new Error("with the PIN 12345678 in it");
    return {
      info: { fake: true, pid: process.pid },
      openSession: () => exclusively(() => Promise.resolve(new FakeSession())),
      close: () => exclusively(() => Promise.resolve()),
    };
  },
};
