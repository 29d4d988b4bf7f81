/** What crosses between a session and the thread that signs for it. */
import type { FaultFacts } from "../native/fault.ts";
import type { SdfAddresses } from "./library.ts";

/** What a signing thread is started with. */
export interface SigningThreadData {
  /** Of the library that the process has loaded. */
  readonly addresses: SdfAddresses;
  readonly profileName: string;
  /** The session's handle, which is the process's. */
  readonly session: bigint;
  readonly keyIndices: readonly number[];
  /** Key indices to which the session has taken the right. */
  readonly taken: readonly number[];
  /** A {@link CallMark} for each call of each group that the session may have been given, shared between the threads. */
  readonly marks: Int32Array;
}

/** What the thread says once it has loaded; every other message of its is a {@link SignedGroup}. */
export const threadReady = "ready";

/** Where a call of a group stands: whoever changes it from `waiting` first, decides. */
export const callMarks = { waiting: 0, begun: 1, revoked: 2 } as const;

/** Calls to sign, one after the other in one piece of memory. */
export interface SigningGroup {
  /** Of the group's first call. */
  readonly firstMark: number;
  /** For each call: key index (u32, big-endian) ‖ digest ‖ X ‖ Y that the card must show. */
  readonly calls: Uint8Array;
}

export const digestBytes = 32;
export const publicKeyBytes = 64;
export const signatureBytes = 64;
const digestAt = 4;
const publicKeyAt: number = digestAt + digestBytes;
export const callBytes: number = publicKeyAt + publicKeyBytes;

/** What came of a group. */
export interface SignedGroup {
  /** r ‖ s for each call, zeros for those that failed or were not run. */
  readonly signatures: Uint8Array;
  /** For each call that was not signed: its fault, or null when it was not run. Left out when all were. */
  readonly unsigned?: readonly (FaultFacts | null | undefined)[];
}

/** Writes the call that is number `at` in a group. Lengths are the caller's to check. */
export function writeCall(calls: Buffer, at: number, keyIndex: Buffer, digest: Buffer, publicKey: Buffer): void {
  const start = at * callBytes;
  keyIndex.copy(calls, start);
  digest.copy(calls, start + digestAt);
  publicKey.copy(calls, start + publicKeyAt);
}

/** Views of the call that is number `at` in a group. */
export function readCall(calls: Buffer, at: number): { keyIndex: number; digest: Buffer; publicKey: Buffer } {
  const call = calls.subarray(at * callBytes, (at + 1) * callBytes);
  return {
    keyIndex: call.readUInt32BE(),
    digest: call.subarray(digestAt, publicKeyAt),
    publicKey: call.subarray(publicKeyAt),
  };
}
