import type { SecretBuffer } from "../crypto/secret-buffer.ts";

/**
 * Who can open the envelopes of a volume's sealed zones, in the process that opens the volume: a file under a pincode, a cipher card,
 * the key manager. The server of the volume asks it, and waits; so it must never itself wait for the volume.
 */
export interface KeyHolder {
  /** `04 ‖ X ‖ Y` of the SM2 master key: the server makes envelopes by itself. */
  readonly publicKey: Buffer;
  /**
   * Absent: sealed zones cannot be read here (ENOKEY), the others can. A failure with a code that ends in `REFUSED` says that the
   * envelope does not open (programs get EIO), any other that nobody can tell now (ENOKEY).
   *
   * @param publicKey - For whom the envelope was made: another than {@link publicKey} once the master key was replaced while the
   *   volume was open.
   * @returns The server's to dispose of.
   */
  readonly unwrap?: (envelope: Buffer, publicKey: Buffer) => Promise<SecretBuffer>;
}
