import type { SecretBuffer } from "../../crypto/secret-buffer.ts";

/** What may be known of a private key without it. At least `fingerprint` is present, but for the `opaque` format. */
export interface PublicIdentity {
  /** `secp256k1`, `sm2`, `p256`, `rsa`, `ed25519` …; `none` when the format has no public half. */
  readonly algorithm: string;
  /** `X ‖ Y` in 128 lower-case hex characters: a FISCO BCOS node id, an Ethereum enode's public key. */
  readonly nodeId?: string;
  /** Ethereum address: `0x` and 40 lower-case hex characters (secp256k1 only). */
  readonly address?: string;
  /** `sha256:` and 64 hex characters, over the SubjectPublicKeyInfo. */
  readonly fingerprint?: string;
}

/** One way in which nodes write a private key into a file. More formats are more rows of the table. */
export interface KeyFormat {
  readonly name: string;
  /** What writes such files, in a few words. */
  readonly writtenBy: string;
  /** Whether a file of unknown format is tried as this one. `opaque` would accept everything, so it must be named. */
  readonly detected: boolean;
  /**
   * The public identity of the key in `file`.
   *
   * @throws {NodeError} `KEY_FILE_INVALID` when the bytes are not exactly this format.
   */
  readPublicIdentity(file: SecretBuffer): PublicIdentity;
}
