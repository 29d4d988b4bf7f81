import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Caller, KeyDescription } from "../service.ts";

/** Tags of a key, at most 50, in AWS's limits (names 1 to 128 characters, values up to 256; `aws:` is reserved). */
export type Tags = Readonly<Record<string, string>>;

export interface TagOperations {
  add(caller: Caller, key: string, tags: Tags): Promise<void>;
  /** Names that are not there are passed over. */
  remove(caller: Caller, key: string, names: readonly string[]): Promise<void>;
  list(caller: Caller, key: string): Promise<Tags>;
}

export interface RotationStatus {
  readonly enabled: boolean;
  /** 90 to 2560; 365 unless given. */
  readonly periodDays: number;
  /** When the next version is made, ISO 8601; null while automatic rotation is off. */
  readonly nextAt: string | null;
}

export interface Rotation {
  readonly version: number;
  /** 64 hex digits that name the material of this version. */
  readonly materialId: string;
  readonly at: string;
  readonly kind: "created" | "automatic" | "on-demand" | "imported";
}

/** Automatic rotation of symmetric keys of usage `encrypt` whose material was made here. */
export interface RotationOperations {
  enable(caller: Caller, key: string, periodDays?: number): Promise<RotationStatus>;
  disable(caller: Caller, key: string): Promise<RotationStatus>;
  status(caller: Caller, key: string): Promise<RotationStatus>;
  list(caller: Caller, key: string): Promise<readonly Rotation[]>;
  /** Rotates every key that is due, each with its own record. Called by the server now and then. */
  rotateDue(): Promise<number>;
}

/** How material is wrapped for import: RSA-OAEP under an RSA key, RSA-OAEP of an AES key with AES-KWP, or SM2. */
export type WrappingAlgorithm =
  | "RSAES_OAEP_SHA_1"
  | "RSAES_OAEP_SHA_256"
  | "RSA_AES_KEY_WRAP_SHA_1"
  | "RSA_AES_KEY_WRAP_SHA_256"
  | "SM2PKE";
export type WrappingKeySpec = "RSA_2048" | "RSA_3072" | "RSA_4096" | "SM2";

/** Import of key material into keys of origin `external`, which begin in state `pending-import`. */
export interface ImportOperations {
  /** The wrapping key and token of one import; both hold for 24 hours. */
  parameters(
    caller: Caller,
    input: { readonly key: string; readonly algorithm: WrappingAlgorithm; readonly wrappingKeySpec: WrappingKeySpec },
  ): Promise<{
    readonly arn: string;
    readonly spki: Buffer;
    readonly token: SecretBuffer;
    readonly validUntil: string;
  }>;
  /** Enables the key. Material once imported is the only one that a key accepts again. `expiresAt`: ISO 8601, or never. */
  importMaterial(
    caller: Caller,
    input: {
      readonly key: string;
      readonly token: SecretBuffer;
      readonly wrapped: Uint8Array;
      readonly expiresAt: string | null;
    },
  ): Promise<KeyDescription>;
  /** Back to `pending-import`: the key is of no use until the same material is imported again. */
  deleteMaterial(caller: Caller, key: string): Promise<KeyDescription>;
  /** Drops expired material, each key with its own record, and expired tokens. Called by the server now and then. */
  expireDue(): Promise<number>;
}
