import type { Context } from "../crypto/context.ts";
import type {
  EncryptionAlgorithmName,
  KeyPairSpecName,
  MacAlgorithmName,
  MacSpecName,
  SigningAlgorithmName,
  SpecUsage,
} from "../crypto/key-specs.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { SuiteName } from "../crypto/suite.ts";

/** A kind of place where master keys live and are used. */
export type DeviceKind = "soft" | "sdf" | "pkcs11" | "aws-kms" | "tpm";

/** What a device can do; groups of contract tests turn on and off by it. */
export interface DeviceCapabilities {
  readonly kind: DeviceKind;
  readonly suites: readonly SuiteName[];
  /** Specs of {@link CryptoDevice.createSpecifiedKey}; empty when the device holds master keys for wraps only. */
  readonly specs: readonly (KeyPairSpecName | MacSpecName)[];
  /** Whether {@link CryptoDevice.boxSecretToOpen} proves by itself where a device blob came from. */
  readonly authenticatesBlobs: boolean;
  /** Each call goes over a network. */
  readonly remote?: true;
}

export interface DeviceHealth {
  readonly state: "ready" | "degraded" | "locked" | "down";
  readonly detail: string;
  /** Of devices with a native library: sessions that are open and can be used. */
  readonly sessions?: number;
  /** … and calls that wait for one. */
  readonly queue?: number;
  /** … and what failed last; never a secret. */
  readonly lastError?: Readonly<Record<"kind" | "code" | "message", string>>;
}

/** One version of a master key as its device knows it. */
export interface DeviceKey {
  /** UUID. */
  readonly keyId: string;
  /** From 1. */
  readonly version: number;
  readonly suite: SuiteName;
  /** What the device needs to find or open the key: a sealed box (soft), an index, an ARN. Public to the store. */
  readonly material: Buffer;
}

/** A key that signs, decrypts or makes MACs: its device must know its spec and its usage as well. */
export interface SpecifiedDeviceKey extends DeviceKey {
  readonly spec: KeyPairSpecName | MacSpecName;
  readonly usage: SpecUsage;
}

export interface NewSpecifiedKey {
  readonly material: Buffer;
  /** SubjectPublicKeyInfo, DER; null for a MAC key. */
  readonly spki: Buffer | null;
}

/** Which key of an upstream KMS a new master key stands for. */
export interface UpstreamKeyChoice {
  /** Name of the integration by which the KMS is reached. */
  readonly integration: string;
  /** Key id, key ARN, alias name or alias ARN there; left out: the integration's own. */
  readonly key?: string;
}

/**
 * Which key of a cipher card or token a new master key stands for. With none, a device that makes keys makes one; one that
 * does not, refuses.
 */
export interface DeviceKeyChoice {
  /** Of a card: the index of a key pair in it, from 1. */
  readonly keyIndex?: number;
  /** Of a card: the index of a key-encryption key in it, from 1, in place of a key pair. */
  readonly kekIndex?: number;
  /** Of a token: the key's CKA_LABEL, or `id:` and its CKA_ID in hex. */
  readonly keyId?: string;
}

/** The secret S of a sealed box, and how the box names it. */
export interface BoxSecret {
  readonly secret: SecretBuffer;
  /** The box header's device algorithm. */
  readonly algorithm: number;
  /** The box header's device blob. */
  readonly blob: Buffer;
}

/**
 * A device: master keys are made, used and destroyed in it, and never leave it (but for `soft`, whose "inside" is this
 * process's memory).
 *
 * A wrap never hands the device the data: the device gives (or recovers) the box secret S, and the sealed box of
 * src/crypto does the rest, so that every device's boxes have one format and one binding to their context.
 * Calls may be concurrent. Errors are `DeviceError`.
 */
export interface CryptoDevice extends AsyncDisposable {
  capabilities(): DeviceCapabilities;
  health(): Promise<DeviceHealth>;
  /**
   * Makes the key material of one version. Nothing is kept until the caller has stored `material`.
   *
   * @param choice - Which key is meant, for devices whose keys are made elsewhere (`aws-kms`) or may be (cards and tokens);
   *   `soft` takes none.
   */
  createKey(key: Omit<DeviceKey, "material">, choice?: UpstreamKeyChoice | DeviceKeyChoice): Promise<Buffer>;
  /**
   * Takes material that was made elsewhere as one version of a symmetric key: it becomes the box secret S. Absent where a
   * device takes none. Nothing is kept until the caller has stored what it returns.
   *
   * @param secret - S, at least 16 bytes; stays the caller's to dispose of.
   */
  importKey?(key: Omit<DeviceKey, "material">, secret: SecretBuffer): Promise<Buffer>;
  /**
   * A box secret to seal under `key`. The caller disposes of `secret`.
   *
   * @param context - What the box will be bound to; devices that can, bind their blob to it too.
   */
  boxSecretToSeal(key: DeviceKey, context: Context): Promise<BoxSecret>;
  /** The box secret of a box that names `key`, under the box's context. The caller disposes of it. */
  boxSecretToOpen(key: DeviceKey, algorithm: number, blob: Uint8Array, context: Context): Promise<SecretBuffer>;
  /**
   * Makes a key of a spec and usage that the caller has checked to go together, without holding up the process.
   *
   * @param choice - A key that is in the card or token already, in place of a new one; `soft` takes none.
   * @throws {DeviceError} `DEVICE_UNSUPPORTED` for a spec that is not in {@link DeviceCapabilities.specs}.
   */
  createSpecifiedKey(key: Omit<SpecifiedDeviceKey, "material">, choice?: DeviceKeyChoice): Promise<NewSpecifiedKey>;
  /**
   * Signs a digest of the algorithm's length with a key pair of usage `sign`. RSA signatures are as long as the modulus; ECDSA
   * and SM2 ones are DER. For `SM2DSA` the digest is e, with ZA in it.
   */
  signDigest(key: SpecifiedDeviceKey, algorithm: SigningAlgorithmName, digest: Uint8Array): Promise<Buffer>;
  /** Decrypts with a key pair of usage `encrypt`; undefined for whatever does not. The caller disposes of the result. */
  decrypt(
    key: SpecifiedDeviceKey,
    algorithm: EncryptionAlgorithmName,
    ciphertext: Uint8Array,
  ): Promise<SecretBuffer | undefined>;
  /** The MAC of a message under a key of usage `mac`. To check one, make it anew and compare in constant time. */
  mac(key: SpecifiedDeviceKey, algorithm: MacAlgorithmName, message: Uint8Array): Promise<Buffer>;
  /**
   * Drops what is cached of a key. A device that holds material itself destroys it there, and finds it by what `key` says:
   * nothing else is given, and the process that made the key may be long gone. A key that is not there is destroyed already.
   */
  destroyKey(key: DeviceKey): Promise<void>;
  /** Forgets everything; the device answers `DEVICE_LOCKED` from then on. */
  lock(): Promise<void>;
}
