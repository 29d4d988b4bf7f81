import type { SecretBuffer } from "../../crypto/secret-buffer.ts";

/** What may be known of a private key without it. */
export interface PublicIdentity {
  /**
   * `secp256k1`, `sm2`, `p256`, `rsa`, `ed25519`, `x25519` …; `none` when the format has no public half; `locked` when a
   * password stands between the file and its public key.
   */
  readonly algorithm: string;
  /** `X ‖ Y` in 128 lower-case hex characters: a FISCO BCOS node id, an Ethereum enode's public key. */
  readonly nodeId?: string;
  /** Ethereum address: `0x` and 40 lower-case hex characters (secp256k1 only). */
  readonly address?: string;
  /** What a Constellation or Tessera `.pub` file holds, in base64. */
  readonly publicKey?: string;
  /** `sha256:` and 64 hex characters, over the SubjectPublicKeyInfo; over the whole file when the key is `locked`. */
  readonly fingerprint?: string;
}

/** The one line by which a manifest names a key: its node id, else its address, else its fingerprint, else `none`. */
export function identityLine(identity: PublicIdentity): string {
  return identity.nodeId ?? identity.address ?? identity.fingerprint ?? "none";
}

/** The programs that a key file may belong to; `any` stands for TLS and other keys of no one program. */
export type KeyOwner =
  | "any"
  | "besu"
  | "constellation"
  | "ethereumjs"
  | "fabric"
  | "fisco"
  | "fisco-sm"
  | "geth"
  | "goquorum"
  | "tessera";

/** One way in which nodes write a private key into a file. More formats are more rows of the table. */
export interface KeyFormat {
  readonly name: string;
  /** What writes such files, in a few words. */
  readonly writtenBy: string;
  /** The kinds of node whose keys are written so. */
  readonly owners: readonly KeyOwner[];
  /**
   * Whether a file of unknown format is tried as this one. A format that would also accept another's files says here which
   * ones are its own alone, or is never tried and must be named.
   */
  readonly detected: boolean | ((file: SecretBuffer) => boolean);
  /**
   * The public identity of the key in `file`, as far as it can be known without a password.
   *
   * @throws {NodeError} `KEY_FILE_INVALID` when the bytes are not exactly this format.
   */
  readPublicIdentity(file: SecretBuffer): PublicIdentity;
  /**
   * Only for formats that lock the key with a password: opens the key, proves that it is the one that the file claims, and
   * gives its full identity.
   *
   * @throws {NodeError} `PASSWORD_WRONG`, `KEY_FILE_INVALID`.
   */
  readonly unlock?: (file: SecretBuffer, password: SecretBuffer) => Promise<PublicIdentity>;
}

/** A key that was made here, as the bytes of a file. The caller seals `file` and disposes of it. */
export interface GeneratedKey {
  /** Name of a key format. */
  readonly format: string;
  /** What the program calls such a file. */
  readonly fileName: string;
  readonly file: SecretBuffer;
  readonly identity: PublicIdentity;
}
