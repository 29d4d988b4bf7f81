import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { aeadOpen, aeadSeal, hkdf, nonceBytes, type Suite } from "../../../crypto/suite.ts";
import { KeyTableError } from "./errors.ts";
import type { KeyWrapper } from "./key-wrapper.ts";
import type { WrapperIdentity } from "./records.ts";

const label = Buffer.from("strongroom/sealfs/keys/v1/wrap");

/**
 * Wraps under the table key, by the suite's AEAD:
 *
 *     envelope     = nonce (12) ‖ ciphertext ‖ tag (16), associated data = the context
 *     wrapping key = HKDF(suite hash, secret = table key, salt = volume id, info = "strongroom/sealfs/keys/v1/wrap")
 */
export class TableKeyWrapper implements KeyWrapper {
  readonly identity: WrapperIdentity = { kind: "table-key" };
  readonly canUnwrap = true;
  readonly #suite: Suite;
  readonly #key: SecretBuffer;

  /** @param tableKey - Stays the caller's. */
  constructor(suite: Suite, tableKey: SecretBuffer, volumeId: Buffer) {
    this.#suite = suite;
    this.#key = hkdf(suite, tableKey, volumeId, label, suite.keyBytes);
  }

  wrap(key: SecretBuffer, context: Buffer): Buffer {
    const nonce = kernelRandomBytes(nonceBytes);
    const sealed = this.#key.expose((wrapping) =>
      key.expose((bytes) => aeadSeal(this.#suite, wrapping, nonce, context, bytes)),
    );
    return Buffer.concat([nonce, sealed]);
  }

  unwrap(envelope: Buffer, context: Buffer): SecretBuffer {
    const [nonce, sealed] = [envelope.subarray(0, nonceBytes), envelope.subarray(nonceBytes)];
    const opened =
      nonce.length < nonceBytes
        ? undefined
        : this.#key.expose((wrapping) => aeadOpen(this.#suite, wrapping, nonce, context, sealed));
    if (opened === undefined) throw new KeyTableError("ENVELOPE_REFUSED");
    return opened;
  }

  [Symbol.dispose](): void {
    this.#key[Symbol.dispose]();
  }
}
