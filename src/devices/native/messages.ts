import { deviceFaultKinds } from "../errors.ts";
import type { FaultFacts } from "./fault.ts";
import { type FrameBody, FrameError, type FrameWriter } from "./frames.ts";

/** Frames to a device's process. `slot` numbers the sessions of one process, `id` its calls. */
export const toDevice = {
  /** configuration (JSON), has PIN (u8), PIN */
  open: 1,
  /** slot (u16) */
  openSession: 2,
  /** slot (u16) */
  closeSession: 3,
  /** number (u16), name: what later calls mean by the number */
  operation: 4,
  /** id (u32), slot (u16), operation (u16), arguments to the end */
  call: 5,
  /** id (u32): not to be started if it has not been */
  revoke: 6,
  /** nothing: sessions and device are closed, then the process ends */
  close: 7,
} as const;

/** Frames from a device's process. */
export const fromDevice = {
  /** nothing: the process has closed itself off and can take the PIN */
  ready: 1,
  /** info (JSON) */
  opened: 2,
  /** fault: the device does not open, or the process cannot be what it must be */
  failed: 3,
  /** slot (u16) */
  sessionOpened: 4,
  /** slot (u16), fault */
  sessionFailed: 5,
  /** slot (u16) */
  sessionClosed: 6,
  /** id (u32), answers to the end */
  answered: 7,
  /** id (u32), fault */
  faulted: 8,
  /** id (u32): it was never started and never will be */
  revoked: 9,
  /** nothing: sessions and device are closed */
  closed: 10,
  /** nothing: no call runs now, and none will be started until a session is opened or closed */
  alone: 11,
} as const;

const longestCodeCharacters = 64;
const longestMessageCharacters = 1000;
const evictBit = 1;
const retryableBit = 2;
const followsBit = 4;

/** A frame of small whole numbers only. */
export function writeNumbers(
  writer: FrameWriter,
  type: number,
  u32: number | undefined,
  u16: number | undefined,
): void {
  writer.begin(type, (u32 === undefined ? 0 : 4) + (u16 === undefined ? 0 : 2));
  if (u32 !== undefined) writer.u32(u32);
  if (u16 !== undefined) writer.u16(u16);
}

export function bytesOfStrings(strings: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const { length } of strings) bytes += 4 + length;
  return bytes;
}

/** A frame with the fault of a call (`u32`) or of a session (`u16`). */
export function writeFault(
  writer: FrameWriter,
  type: number,
  u32: number | undefined,
  u16: number | undefined,
  fault: FaultFacts,
): void {
  const code = Buffer.from(fault.code.slice(0, longestCodeCharacters));
  const message = Buffer.from(fault.message.slice(0, longestMessageCharacters));
  writer.begin(type, (u32 === undefined ? 0 : 4) + (u16 === undefined ? 0 : 2) + 2 + bytesOfStrings([code, message]));
  if (u32 !== undefined) writer.u32(u32);
  if (u16 !== undefined) writer.u16(u16);
  writer.u8(deviceFaultKinds.indexOf(fault.kind));
  writer.u8(
    (fault.evict ? evictBit : 0) | (fault.retryable ? retryableBit : 0) | (fault.follows === true ? followsBit : 0),
  );
  writer.bytes(code);
  writer.bytes(message);
}

/** @throws {FrameError} For a kind that is not one, or texts that are too long. */
export function readFault(body: FrameBody): FaultFacts {
  const kind = deviceFaultKinds[body.u8()];
  const bits = body.u8();
  const code = body.bytes().toString();
  const message = body.bytes().toString();
  body.end();
  if (kind === undefined || code.length > longestCodeCharacters || message.length > longestMessageCharacters)
    throw new FrameError("a fault is not one");
  return {
    kind,
    code,
    message,
    evict: (bits & evictBit) !== 0,
    retryable: (bits & retryableBit) !== 0,
    follows: (bits & followsBit) !== 0,
  };
}
