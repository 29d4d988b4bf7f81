import type { Context } from "../../crypto/context.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Caller } from "../service.ts";
import type { LeaseStatement } from "./leases.ts";

export interface WrappedKey {
  readonly keyId: string;
  readonly keyVersion: number;
  /** Names the material, as KeyDescription does. */
  readonly materialId: string;
  /** A sealed box of type `dataKey`. */
  readonly wrapped: Buffer;
}

export interface DataOperations {
  /** `bytes`: 1 to 1024, by default 32. The caller of this method disposes of `plaintext`. */
  generateDataKey(
    caller: Caller,
    input: { key: string; context: Context; bytes?: number },
  ): Promise<WrappedKey & { readonly plaintext: SecretBuffer }>;
  generateDataKeyWithoutPlaintext(
    caller: Caller,
    input: { key: string; context: Context; bytes?: number },
  ): Promise<WrappedKey>;
  /** `plaintext`: 1 to 4096 bytes; stays the caller's to dispose of. */
  wrap(caller: Caller, input: { key: string; context: Context; plaintext: SecretBuffer }): Promise<WrappedKey>;
  /**
   * `key`, when given, must be the key that the box names. A node that runs under a lease states it with each unwrap, and
   * so on record. The caller of this method disposes of `plaintext`.
   */
  unwrap(
    caller: Caller,
    input: { wrapped: Buffer; context: Context; key?: string; lease?: LeaseStatement },
  ): Promise<{
    readonly keyId: string;
    readonly keyVersion: number;
    readonly materialId: string;
    readonly plaintext: SecretBuffer;
  }>;
  /** To another key, another context, or (neither given) to the newest version of its own key. */
  rewrap(
    caller: Caller,
    input: { wrapped: Buffer; context: Context; toKey?: string; toContext?: Context },
  ): Promise<WrappedKey>;
}
