import type { KeyOrigin, KeySpec, KeyUsage } from "../service.ts";
import type { KeyResource } from "./request.ts";

/** AWS's spelling for `kms:KeySpec`. Both symmetric ciphers are its default (SM4 is, in AWS's China regions). */
const specs: Readonly<Record<KeySpec, string>> = {
  AES_256: "SYMMETRIC_DEFAULT",
  SM4: "SYMMETRIC_DEFAULT",
  RSA_2048: "RSA_2048",
  RSA_3072: "RSA_3072",
  RSA_4096: "RSA_4096",
  ECC_NIST_P256: "ECC_NIST_P256",
  ECC_NIST_P384: "ECC_NIST_P384",
  ECC_NIST_P521: "ECC_NIST_P521",
  ECC_SECG_P256K1: "ECC_SECG_P256K1",
  SM2: "SM2",
  HMAC_224: "HMAC_224",
  HMAC_256: "HMAC_256",
  HMAC_384: "HMAC_384",
  HMAC_512: "HMAC_512",
  HMAC_SM3: "HMAC_SM3",
};

const usages: Readonly<Record<KeyUsage, string>> = {
  encrypt: "ENCRYPT_DECRYPT",
  sign: "SIGN_VERIFY",
  mac: "GENERATE_VERIFY_MAC",
};

const origins: Readonly<Record<KeyOrigin, string>> = {
  soft: "AWS_KMS",
  sdf: "AWS_CLOUDHSM",
  pkcs11: "AWS_CLOUDHSM",
  "aws-kms": "EXTERNAL_KEY_STORE",
  external: "EXTERNAL",
};

/** A key's spec, usage and origin as policies name them (`kms:KeySpec`, `kms:KeyUsage`, `kms:KeyOrigin`). */
export function keyFacts(key: {
  readonly spec: KeySpec;
  readonly usage: KeyUsage;
  readonly origin: KeyOrigin;
}): Pick<KeyResource, "spec" | "usage" | "origin"> {
  return { spec: specs[key.spec], usage: usages[key.usage], origin: origins[key.origin] };
}
