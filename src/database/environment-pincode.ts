import { closeSync, ftruncateSync, readSync, writeSync } from "node:fs";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { longestSecretBytes } from "../crypto/secret-file.ts";
import { DatabaseError } from "./errors.ts";

/** Where the database's manual says that the pincode is set. */
export const pincodeVariable = "FCTSDB_PINCODE";
/** Tells the program that took this one's place which descriptor has the pincode. */
const descriptorVariable = "STRONGROOM_PINCODE_FD";

/**
 * Takes the pincode out of the environment variable `FCTSDB_PINCODE`, for good. What was in a process's environment when it
 * started stays readable in /proc/PID/environ, so the process puts itself in its own place (execve(2), the same process id)
 * with an environment that has no pincode; that travels in memory without a name (memfd_create(2)). The parent's environment
 * is the parent's to clean.
 *
 * To be called before anything is opened: nothing but the standard descriptors outlives it.
 *
 * @returns The caller disposes of it; undefined when none was set.
 * @throws {DatabaseError} `PINCODE_INVALID` for one that is empty or over 4,096 bytes.
 * @throws {Error} Where the C library can't be reached.
 */
export async function takeEnvironmentPincode(): Promise<SecretBuffer | undefined> {
  const handed = process.env[descriptorVariable];
  const text = process.env[pincodeVariable];
  if (text !== undefined) return await restartWithout(text);
  if (handed === undefined) return undefined;
  delete process.env[descriptorVariable];
  if (!/^[1-9]\d{0,5}$/.test(handed)) throw invalid(`${descriptorVariable} is not the number of a file descriptor`);
  return readAndClose(Number(handed));
}

async function restartWithout(text: string): Promise<never> {
  using pincode = SecretBuffer.take(Buffer.from(text));
  if (pincode.byteLength === 0) throw invalid(`${pincodeVariable} is set, and empty`);
  if (pincode.byteLength > longestSecretBytes) throw invalid(`${pincodeVariable} is over ${longestSecretBytes} bytes`);
  const descriptor = await inheritedMemory();
  pincode.expose((bytes) => {
    for (let written = 0; written < bytes.length; ) written += writeSync(descriptor, bytes, written);
  });
  const environment: Record<string, string> = { [descriptorVariable]: String(descriptor) };
  for (const [name, value] of Object.entries(process.env))
    if (name !== pincodeVariable && name !== descriptorVariable && value !== undefined) environment[name] = value;
  if (process.execve === undefined) throw new Error("this Node has no process.execve");
  return process.execve(
    process.execPath,
    [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    environment,
  );
}

/** Memory that a program which takes this one's place keeps open. */
async function inheritedMemory(): Promise<number> {
  const { default: koffi } = await import("koffi");
  const create: (name: string, flags: number) => number = koffi
    .load("libc.so.6")
    .func("int memfd_create(const char *, unsigned int)");
  const descriptor = create("strongroom-pincode", 0);
  if (descriptor < 0) throw new Error(`memfd_create failed: errno ${koffi.errno()}`);
  return descriptor;
}

function readAndClose(descriptor: number): SecretBuffer {
  const bytes = Buffer.allocUnsafeSlow(longestSecretBytes + 1);
  try {
    const length = readSync(descriptor, bytes, 0, bytes.length, 0);
    if (length === 0 || length > longestSecretBytes) throw invalid(`the pincode has ${length} bytes`);
    const pincode = SecretBuffer.copyOf(bytes.subarray(0, length));
    ftruncateSync(descriptor);
    closeSync(descriptor);
    return pincode;
  } catch (cause) {
    if (cause instanceof DatabaseError) throw cause;
    throw invalid(`${descriptorVariable}: the descriptor has no pincode: ${(cause as NodeJS.ErrnoException).code}`);
  } finally {
    bytes.fill(0);
  }
}

function invalid(message: string): DatabaseError {
  return new DatabaseError("PINCODE_INVALID", message);
}
