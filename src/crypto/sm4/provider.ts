import type { SecretBuffer } from "../secret-buffer.ts";

/** One way to compute SM4 (GB/T 32907-2016). All ways give the same bytes. */
export interface Sm4Provider {
  readonly name: "addon" | "wasm" | "openssl";
  /** What of the processor it uses, such as `avx512-gfni`, or the library's version. */
  readonly detail: string;
  /** Expands a key. @param key - 16 bytes; not kept. @throws {RangeError} For another length. */
  expand(key: SecretBuffer): Sm4Key;
}

/** An expanded key. Unusable once disposed of, which wipes it. */
export interface Sm4Key extends Disposable {
  /**
   * Counter mode, its own inverse: counts all 16 bytes up, big-endian, with wrap-around.
   *
   * @param counter - 16 bytes, the first counter block; left as it is.
   * @param output - As long as `input`; may be the same memory.
   */
  ctr(counter: Uint8Array, input: Uint8Array, output: Uint8Array): void;
  /**
   * GCM (NIST SP 800-38D, RFC 8998).
   *
   * @param nonce - 12 bytes.
   * @param ciphertext - As long as `plaintext`; may be the same memory.
   * @param tag - 16 bytes, written.
   */
  gcmSeal(
    nonce: Uint8Array,
    associatedData: Uint8Array,
    plaintext: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): void;
  /** The tag is compared in constant time. @returns False, with `plaintext` zeroed, when it does not match. */
  gcmOpen(
    nonce: Uint8Array,
    associatedData: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
    plaintext: Uint8Array,
  ): boolean;
}
