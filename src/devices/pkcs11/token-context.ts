import type { Attribute, Mechanism, PKCS11 } from "pkcs11js";
import { gcmLayouts, mechanisms } from "./constants.ts";
import type { KeyFinder } from "./key-finder.ts";
import type { Handle } from "./module.ts";

/** What the operations of one session work with. */
export interface TokenContext {
  readonly module: PKCS11;
  readonly session: Handle;
  /** Signing and ciphering run in threads of libuv's pool. */
  readonly threads: boolean;
  readonly gcmLayout: keyof typeof gcmLayouts;
  /** Whether keys are made with CKA_ALLOWED_MECHANISMS. */
  readonly restrictsMechanisms: boolean;
  /** Where signatures are made without threads. */
  readonly signatureRoom: Buffer;
  /** Shared by all sessions: handles of objects are the process's. */
  readonly keys: KeyFinder;
}

/** Memory that a call in a thread reads or writes; pkcs11js itself keeps only the result alive. */
const lentToThreads = new Set<readonly unknown[]>();

/** Runs the threaded form of a call with everything it points to kept from being collected. */
export async function inThread<T>(lent: readonly unknown[], call: () => Promise<T>): Promise<T> {
  lentToThreads.add(lent);
  try {
    return await call();
  } finally {
    lentToThreads.delete(lent);
  }
}

/** CKM_AES_GCM with a tag of 128 bits. The caller keeps `iv` and `aad` until the operation has ended. */
export function gcmMechanism(layout: keyof typeof gcmLayouts, iv: Buffer, aad: Buffer): Mechanism {
  const parameter = { type: gcmLayouts[layout], iv, ivBits: iv.length * 8, aad, tagBits: 128 };
  return { mechanism: mechanisms.aesGcm, parameter };
}

/** A template's entry. */
export function attribute(type: number, value: NonNullable<Attribute["value"]>): Attribute {
  return { type, value };
}

/** A list of CK_MECHANISM_TYPE. */
export function mechanismList(...types: readonly number[]): Buffer {
  const list = Buffer.alloc(8 * types.length);
  types.forEach((type, index) => {
    list.writeBigUInt64LE(BigInt(type), 8 * index);
  });
  return list;
}
