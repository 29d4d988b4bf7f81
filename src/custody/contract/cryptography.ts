import type { Context } from "../../crypto/context.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Caller, KeySpec, KeyUsage } from "../service.ts";
import type { WrappedKey } from "./data-keys.ts";

/** Signing algorithms, in AWS KMS's names. `SM2DSA`: GB/T 32918.2 with the user id 1234567812345678. */
export type SigningAlgorithm =
  | "RSASSA_PSS_SHA_256"
  | "RSASSA_PSS_SHA_384"
  | "RSASSA_PSS_SHA_512"
  | "RSASSA_PKCS1_V1_5_SHA_256"
  | "RSASSA_PKCS1_V1_5_SHA_384"
  | "RSASSA_PKCS1_V1_5_SHA_512"
  | "ECDSA_SHA_256"
  | "ECDSA_SHA_384"
  | "ECDSA_SHA_512"
  | "SM2DSA";

export type MacAlgorithm = "HMAC_SHA_224" | "HMAC_SHA_256" | "HMAC_SHA_384" | "HMAC_SHA_512" | "HMAC_SM3";

/** Public-key encryption: `SM2PKE` is ASN.1, C1C3C2. */
export type AsymmetricEncryptionAlgorithm = "RSAES_OAEP_SHA_1" | "RSAES_OAEP_SHA_256" | "SM2PKE";

export interface MessageToSign {
  readonly key: string;
  /** `raw`: 1 to 4096 bytes. `digest`: as long as the algorithm's hash. */
  readonly message: Uint8Array;
  readonly messageType: "raw" | "digest";
  readonly algorithm: SigningAlgorithm;
}

export interface PublicKeyDescription {
  readonly keyId: string;
  readonly arn: string;
  readonly spec: KeySpec;
  readonly usage: KeyUsage;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
}

/** Signatures with keys of usage `sign`; ECDSA and SM2 signatures are DER. */
export interface SigningOperations {
  sign(caller: Caller, input: MessageToSign): Promise<{ readonly keyId: string; readonly signature: Buffer }>;
  /** @throws {CustodyError} `SIGNATURE_INVALID` for one that is not the key's over this message. */
  verify(
    caller: Caller,
    input: MessageToSign & { readonly signature: Uint8Array },
  ): Promise<{ readonly keyId: string }>;
  /** Of keys of usage `sign`, and of asymmetric ones of usage `encrypt`. */
  publicKey(caller: Caller, key: string): Promise<PublicKeyDescription>;
}

/** Message authentication codes with keys of usage `mac`. `message`: 1 to 4096 bytes. */
export interface MacOperations {
  generate(
    caller: Caller,
    input: { readonly key: string; readonly message: Uint8Array; readonly algorithm: MacAlgorithm },
  ): Promise<{ readonly keyId: string; readonly mac: Buffer }>;
  /** @throws {CustodyError} `MAC_INVALID`. */
  verify(
    caller: Caller,
    input: {
      readonly key: string;
      readonly message: Uint8Array;
      readonly algorithm: MacAlgorithm;
      readonly mac: Uint8Array;
    },
  ): Promise<{ readonly keyId: string }>;
}

/** What public-key encryption, random bytes and data key pairs add to {@link DataOperations}. */
export interface AsymmetricOperations {
  encrypt(
    caller: Caller,
    input: {
      readonly key: string;
      readonly algorithm: AsymmetricEncryptionAlgorithm;
      readonly plaintext: SecretBuffer;
    },
  ): Promise<{ readonly keyId: string; readonly ciphertext: Buffer }>;
  /** The caller of this method disposes of `plaintext`. @throws {CustodyError} `WRAP_REFUSED`. */
  decrypt(
    caller: Caller,
    input: {
      readonly key: string;
      readonly algorithm: AsymmetricEncryptionAlgorithm;
      readonly ciphertext: Uint8Array;
    },
  ): Promise<{ readonly keyId: string; readonly plaintext: SecretBuffer }>;
  /** `bytes`: 1 to 1024. The caller of this method disposes of the result. */
  generateRandom(caller: Caller, bytes: number): Promise<SecretBuffer>;
  /**
   * A new key pair, its private key (PKCS#8, DER) wrapped by a symmetric key of usage `encrypt`, and in the clear too
   * when `withPlaintext`. The caller of this method disposes of it.
   */
  generateDataKeyPair(
    caller: Caller,
    input: { readonly key: string; readonly context: Context; readonly spec: KeySpec; readonly withPlaintext: boolean },
  ): Promise<WrappedKey & { readonly spki: Buffer; readonly privateKey: SecretBuffer | undefined }>;
}

export type EncryptionAlgorithm = "SYMMETRIC_DEFAULT" | AsymmetricEncryptionAlgorithm;

/** One side of a re-encryption. Only `SYMMETRIC_DEFAULT`, the sealed box, takes a context. */
export interface ReEncryptionSide {
  readonly algorithm: EncryptionAlgorithm;
  readonly context: Context;
}

/** Moves a ciphertext from one key to another; the plaintext never leaves. */
export interface ReEncryptionOperations {
  /**
   * Needs `kms:ReEncryptFrom` on the one key and `kms:ReEncryptTo` on the other. `from.key` may be left out for a sealed
   * box, which names its key.
   *
   * @throws {CustodyError} `KEY_INCORRECT` for a box that is another key's than `from.key`, `WRAP_REFUSED`.
   */
  reencrypt(
    caller: Caller,
    input: {
      readonly ciphertext: Buffer;
      readonly from: ReEncryptionSide & { readonly key?: string };
      readonly to: ReEncryptionSide & { readonly key: string };
    },
  ): Promise<ReEncrypted>;
}

export interface ReEncrypted {
  readonly ciphertext: Buffer;
  readonly fromKeyId: string;
  readonly toKeyId: string;
  /** See {@link WrappedKey.materialId}; undefined for key pairs. */
  readonly fromMaterialId: string | undefined;
  readonly toMaterialId: string | undefined;
}
