/**
 * The operations of the device's process, with what each takes and gives. A key is named by its CKA_ID. Texts are UTF-8,
 * numbers u32 big-endian.
 */
export const operations = {
  /** (label, kind of {@link SecretKeyKind}, bytes of the key) → (id) */
  generateSecretKey: "generate-secret-key",
  /** (label, curve) → (id, SubjectPublicKeyInfo) */
  generateKeyPair: "generate-key-pair",
  /** (label, curve, PrivateKeyInfo, scalar or seed, public point) → (id, SubjectPublicKeyInfo) */
  importKeyPair: "import-key-pair",
  /** (id) → (curve, SubjectPublicKeyInfo) */
  publicKey: "public-key",
  /** (id, fingerprint, curve, digest or for ED25519 message) → (raw signature, and when it was made) */
  sign: "sign",
  /** (id, name of the MAC, message) → (MAC) */
  mac: "mac",
  /** (id, IV, associated data, plaintext) → (ciphertext ‖ tag) */
  gcmSeal: "gcm-seal",
  /** (id, IV, associated data, ciphertext ‖ tag) → (plaintext), or nothing when it does not authenticate */
  gcmOpen: "gcm-open",
  /** (id, bytes, a multiple of 8) → (wrapped bytes) */
  keyWrap: "key-wrap",
  /** (id, wrapped bytes) → (bytes), or nothing when they do not authenticate */
  keyUnwrap: "key-unwrap",
  /** (label) → (number of objects that were destroyed) */
  destroy: "destroy",
  /** (label or nothing, id or nothing) → (JSON of {@link TokenKey} for each key of this label and id; of nothing, any) */
  list: "list",
} as const;

export type Operation = (typeof operations)[keyof typeof operations];

/** What a secret key is made for; it can do nothing else. */
export type SecretKeyKind = "aes-gcm" | "aes-kw" | "hmac";

/** A key in the token, for lists and for finding one by its label. */
export interface TokenKey {
  /** CKA_ID, hex. */
  readonly id: string;
  readonly label: string;
  /** `other`: among them private keys whose one public key the token does not hold, or whose curve is not known here. */
  readonly kind: "key-pair" | "aes" | "mac" | "other";
  /** Of a key pair. */
  readonly curve?: string;
  readonly usages: readonly ("sign" | "encrypt" | "wrap")[];
  readonly extractable: boolean;
}

/** The most keys that a list has. */
export const mostListedKeys = 10_000;
export const idBytes = 16;

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
