import type { KeyOrigin, KeySpec, KeyState, KeyUsage } from "../../custody/service.ts";

/**
 * Key specs: AWS's own, then Strongroom's. SYMMETRIC_DEFAULT is AES-256 in every region: a key that is to use SM4, or an
 * HMAC with SM3, is asked for by name.
 */
const specs = {
  SYMMETRIC_DEFAULT: "AES_256",
  RSA_2048: "RSA_2048",
  RSA_3072: "RSA_3072",
  RSA_4096: "RSA_4096",
  ECC_NIST_P256: "ECC_NIST_P256",
  ECC_NIST_P384: "ECC_NIST_P384",
  ECC_NIST_P521: "ECC_NIST_P521",
  ECC_SECG_P256K1: "ECC_SECG_P256K1",
  HMAC_224: "HMAC_224",
  HMAC_256: "HMAC_256",
  HMAC_384: "HMAC_384",
  HMAC_512: "HMAC_512",
  SM2: "SM2",
  SM4: "SM4",
  HMAC_SM3: "HMAC_SM3",
} as const satisfies Readonly<Record<string, KeySpec>>;

const usages = {
  ENCRYPT_DECRYPT: "encrypt",
  SIGN_VERIFY: "sign",
  GENERATE_VERIFY_MAC: "mac",
} as const satisfies Readonly<Record<string, KeyUsage>>;

const origins: Readonly<Record<KeyOrigin, string>> = {
  soft: "AWS_KMS",
  external: "EXTERNAL",
  sdf: "AWS_CLOUDHSM",
  pkcs11: "AWS_CLOUDHSM",
  "aws-kms": "EXTERNAL_KEY_STORE",
};

const states: Readonly<Record<KeyState, string>> = {
  enabled: "Enabled",
  disabled: "Disabled",
  "pending-import": "PendingImport",
  "pending-deletion": "PendingDeletion",
  destroyed: "PendingDeletion",
};

/** AWS's names of the specs that keys can be made of here. */
export const keySpecNames: readonly string[] = Object.keys(specs);

/** Custody's spec of this name; undefined for one that AWS has and Strongroom has not. */
export function keySpecOf(name: string): KeySpec | undefined {
  return Object.hasOwn(specs, name) ? specs[name as keyof typeof specs] : undefined;
}

export function awsKeySpec(spec: KeySpec): string {
  return spec === "AES_256" ? "SYMMETRIC_DEFAULT" : spec;
}

/** Custody's usage of this name; undefined for one that AWS has and Strongroom has not. */
export function keyUsageOf(name: string): KeyUsage | undefined {
  return Object.hasOwn(usages, name) ? usages[name as keyof typeof usages] : undefined;
}

export function awsKeyUsage(usage: KeyUsage): string {
  return { encrypt: "ENCRYPT_DECRYPT", sign: "SIGN_VERIFY", mac: "GENERATE_VERIFY_MAC" }[usage];
}

export function awsOrigin(origin: KeyOrigin): string {
  return origins[origin];
}

export function awsKeyState(state: KeyState): string {
  return states[state];
}

/** Unix time in seconds, as the JSON protocol has it, of an ISO 8601 time. */
export function epochSeconds(iso: string): number {
  return Date.parse(iso) / 1000;
}
