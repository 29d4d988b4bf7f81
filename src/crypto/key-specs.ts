import type { SuiteName } from "./suite.ts";

/** What a key is for. A key has one usage for life. */
export type SpecUsage = "encrypt" | "sign" | "mac";

interface SigningScheme {
  readonly scheme: "rsa-pkcs1" | "rsa-pss" | "ecdsa" | "sm2";
  /** OpenSSL's name. */
  readonly hash: string;
  readonly digestBytes: number;
}

/**
 * Signing algorithms in AWS KMS's names. RSASSA is RFC 8017 with a PSS salt as long as the hash; ECDSA is FIPS 186-5;
 * `SM2DSA` is GB/T 32918.2 over e = SM3(ZA ‖ message) with the user id 1234567812345678.
 */
export const signingAlgorithms = {
  RSASSA_PSS_SHA_256: { scheme: "rsa-pss", hash: "sha256", digestBytes: 32 },
  RSASSA_PSS_SHA_384: { scheme: "rsa-pss", hash: "sha384", digestBytes: 48 },
  RSASSA_PSS_SHA_512: { scheme: "rsa-pss", hash: "sha512", digestBytes: 64 },
  RSASSA_PKCS1_V1_5_SHA_256: { scheme: "rsa-pkcs1", hash: "sha256", digestBytes: 32 },
  RSASSA_PKCS1_V1_5_SHA_384: { scheme: "rsa-pkcs1", hash: "sha384", digestBytes: 48 },
  RSASSA_PKCS1_V1_5_SHA_512: { scheme: "rsa-pkcs1", hash: "sha512", digestBytes: 64 },
  ECDSA_SHA_256: { scheme: "ecdsa", hash: "sha256", digestBytes: 32 },
  ECDSA_SHA_384: { scheme: "ecdsa", hash: "sha384", digestBytes: 48 },
  ECDSA_SHA_512: { scheme: "ecdsa", hash: "sha512", digestBytes: 64 },
  SM2DSA: { scheme: "sm2", hash: "sm3", digestBytes: 32 },
} as const satisfies Readonly<Record<string, SigningScheme>>;

export type SigningAlgorithmName = keyof typeof signingAlgorithms;

/** HMAC (FIPS 198-1) over OpenSSL's `hash`; the MAC has `bytes` bytes. */
export const macAlgorithms = {
  HMAC_SHA_224: { hash: "sha224", bytes: 28 },
  HMAC_SHA_256: { hash: "sha256", bytes: 32 },
  HMAC_SHA_384: { hash: "sha384", bytes: 48 },
  HMAC_SHA_512: { hash: "sha512", bytes: 64 },
  HMAC_SM3: { hash: "sm3", bytes: 32 },
} as const;

export type MacAlgorithmName = keyof typeof macAlgorithms;

/** Public-key encryption: RSAES-OAEP (RFC 8017) with one hash for label and mask, and SM2 (GB/T 32918.4, ASN.1 C1C3C2). */
export const encryptionAlgorithms = {
  RSAES_OAEP_SHA_1: { scheme: "oaep", hash: "sha1", hashBytes: 20 },
  RSAES_OAEP_SHA_256: { scheme: "oaep", hash: "sha256", hashBytes: 32 },
  SM2PKE: { scheme: "sm2", hash: "sm3", hashBytes: 32 },
} as const;

export type EncryptionAlgorithmName = keyof typeof encryptionAlgorithms;

interface SpecOf<Kind extends string> {
  readonly kind: Kind;
  readonly suite: SuiteName;
  /** Usages that a key of this spec may be made for. */
  readonly usages: readonly SpecUsage[];
  /** What a key of usage `sign` signs with. */
  readonly signing: readonly SigningAlgorithmName[];
  /** What a key of usage `encrypt` decrypts; empty for symmetric keys, which open sealed boxes. */
  readonly encryption: readonly EncryptionAlgorithmName[];
  /** What a key of usage `mac` makes. */
  readonly macs: readonly MacAlgorithmName[];
}
type RsaSpec = SpecOf<"rsa"> & { readonly modulusBits: 2048 | 3072 | 4096 };
type CurveSpec = SpecOf<"ec" | "sm2"> & { /** OpenSSL's name. */ readonly curve: string };
type MacSpec = SpecOf<"mac"> & { readonly keyBytes: number };

const none = { signing: [], encryption: [], macs: [] } as const;

const rsa = (modulusBits: RsaSpec["modulusBits"]): RsaSpec => ({
  kind: "rsa",
  suite: "intl",
  usages: ["encrypt", "sign"],
  modulusBits,
  signing: [
    "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384",
    "RSASSA_PKCS1_V1_5_SHA_512",
    "RSASSA_PSS_SHA_256",
    "RSASSA_PSS_SHA_384",
    "RSASSA_PSS_SHA_512",
  ],
  encryption: ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"],
  macs: [],
});

const ec = (curve: string, algorithm: SigningAlgorithmName): CurveSpec => ({
  ...none,
  kind: "ec",
  suite: "intl",
  usages: ["sign"],
  curve,
  signing: [algorithm],
});

const mac = (suite: SuiteName, algorithm: MacAlgorithmName): MacSpec => ({
  ...none,
  kind: "mac",
  suite,
  usages: ["mac"],
  keyBytes: macAlgorithms[algorithm].bytes,
  macs: [algorithm],
});

/** Every key spec, in AWS KMS's names (its SYMMETRIC_DEFAULT is AES_256 or SM4 here): suite, usages, algorithms. */
export const keySpecs = {
  AES_256: { ...none, kind: "symmetric", suite: "intl", usages: ["encrypt"] },
  SM4: { ...none, kind: "symmetric", suite: "sm", usages: ["encrypt"] },
  RSA_2048: rsa(2048),
  RSA_3072: rsa(3072),
  RSA_4096: rsa(4096),
  ECC_NIST_P256: ec("prime256v1", "ECDSA_SHA_256"),
  ECC_NIST_P384: ec("secp384r1", "ECDSA_SHA_384"),
  ECC_NIST_P521: ec("secp521r1", "ECDSA_SHA_512"),
  ECC_SECG_P256K1: ec("secp256k1", "ECDSA_SHA_256"),
  SM2: {
    kind: "sm2",
    suite: "sm",
    usages: ["encrypt", "sign"],
    curve: "SM2",
    signing: ["SM2DSA"],
    encryption: ["SM2PKE"],
    macs: [],
  } satisfies CurveSpec,
  HMAC_224: mac("intl", "HMAC_SHA_224"),
  HMAC_256: mac("intl", "HMAC_SHA_256"),
  HMAC_384: mac("intl", "HMAC_SHA_384"),
  HMAC_512: mac("intl", "HMAC_SHA_512"),
  HMAC_SM3: mac("sm", "HMAC_SM3"),
} as const satisfies Readonly<Record<string, SpecOf<"symmetric"> | RsaSpec | CurveSpec | MacSpec>>;

export type KeySpecName = keyof typeof keySpecs;
export type MacSpecName = Extract<KeySpecName, `HMAC_${string}`>;
export type KeyPairSpecName = Extract<KeySpecName, `RSA_${string}` | `ECC_${string}` | "SM2">;

export function isKeyPairSpec(spec: KeySpecName): spec is KeyPairSpecName {
  const { kind } = keySpecs[spec];
  return kind === "rsa" || kind === "ec" || kind === "sm2";
}

export function isMacSpec(spec: KeySpecName): spec is MacSpecName {
  return keySpecs[spec].kind === "mac";
}

/** Symmetric keys wrap data keys under a context; no other key takes one. */
export function isSymmetricSpec(spec: KeySpecName): spec is "AES_256" | "SM4" {
  return keySpecs[spec].kind === "symmetric";
}

/** The algorithms of a key of this spec and usage, in AWS's names; none for a symmetric key. */
export function algorithmsOf(spec: KeySpecName, usage: SpecUsage): readonly string[] {
  const { signing, encryption, macs } = keySpecs[spec];
  return usage === "sign" ? signing : usage === "mac" ? macs : encryption;
}

/** SM2 encrypts keys and short secrets: AWS KMS's limit. */
const maxSm2PkeBytes = 1024;

/** The longest plaintext that a key of this spec encrypts: for RSAES-OAEP the modulus less two hashes and two bytes. */
export function maxEncryptBytes(spec: KeyPairSpecName, algorithm: EncryptionAlgorithmName): number {
  const facts = keySpecs[spec];
  if (facts.kind !== "rsa") return maxSm2PkeBytes;
  return facts.modulusBits / 8 - 2 * encryptionAlgorithms[algorithm].hashBytes - 2;
}
