import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { AwsAccount, b64, reveal } from "./aws-account.ts";

describe("CreateKey of the AWS door", () => {
  let account: AwsAccount;
  before(async () => {
    account = await AwsAccount.make();
  });
  after(() => account.end());

  it("makes a key of every spec and usage that fit, and says its algorithms", async () => {
    for (const [KeySpec, KeyUsage, member, algorithms] of [
      ["SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "EncryptionAlgorithms", ["SYMMETRIC_DEFAULT"]],
      ["SM4", "ENCRYPT_DECRYPT", "EncryptionAlgorithms", ["SYMMETRIC_DEFAULT"]],
      ["ECC_NIST_P256", "SIGN_VERIFY", "SigningAlgorithms", ["ECDSA_SHA_256"]],
      ["ECC_NIST_P384", "SIGN_VERIFY", "SigningAlgorithms", ["ECDSA_SHA_384"]],
      ["ECC_NIST_P521", "SIGN_VERIFY", "SigningAlgorithms", ["ECDSA_SHA_512"]],
      ["ECC_SECG_P256K1", "SIGN_VERIFY", "SigningAlgorithms", ["ECDSA_SHA_256"]],
      ["SM2", "SIGN_VERIFY", "SigningAlgorithms", ["SM2DSA"]],
      ["SM2", "ENCRYPT_DECRYPT", "EncryptionAlgorithms", ["SM2PKE"]],
      ["RSA_2048", "ENCRYPT_DECRYPT", "EncryptionAlgorithms", ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]],
      ["HMAC_224", "GENERATE_VERIFY_MAC", "MacAlgorithms", ["HMAC_SHA_224"]],
      ["HMAC_512", "GENERATE_VERIFY_MAC", "MacAlgorithms", ["HMAC_SHA_512"]],
      ["HMAC_SM3", "GENERATE_VERIFY_MAC", "MacAlgorithms", ["HMAC_SM3"]],
    ] as const) {
      const { KeyMetadata: made } = await account.do("CreateKey", { KeySpec, KeyUsage });
      assert.deepEqual([made.KeySpec, made.CustomerMasterKeySpec, made.KeyUsage], [KeySpec, KeySpec, KeyUsage]);
      assert.deepEqual(made[member], algorithms);
      assert.deepEqual((await account.do("DescribeKey", { KeyId: made.KeyId })).KeyMetadata, made);
    }
  });

  it("seals with SM4 under a key that was asked for by name", async () => {
    const KeyId = await account.key({ KeySpec: "SM4" });
    const { CiphertextBlob } = await account.do("Encrypt", { KeyId, Plaintext: b64("x") });
    const { Plaintext } = await account.do("Decrypt", { CiphertextBlob: b64(CiphertextBlob) });
    assert.equal(reveal(Plaintext).toString(), "x");
  });

  it("refuses what does not fit together", async () => {
    for (const [input, message] of [
      [
        { KeySpec: "RSA_2048", CustomerMasterKeySpec: "RSA_2048", KeyUsage: "SIGN_VERIFY" },
        "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.",
      ],
      [
        { KeySpec: "RSA_2048" },
        "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.",
      ],
      [
        { KeySpec: "ECC_NIST_P256", KeyUsage: "ENCRYPT_DECRYPT" },
        "KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec ECC_NIST_P256",
      ],
      [{ KeyUsage: "SIGN_VERIFY" }, "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT"],
      [
        { KeySpec: "HMAC_256", KeyUsage: "SIGN_VERIFY" },
        "KeyUsage SIGN_VERIFY is not compatible with KeySpec HMAC_256",
      ],
    ] as const)
      await account.refuses("CreateKey", input, "ValidationException", message);
  });

  it("tells what AWS has and Strongroom has not", async () => {
    for (const input of [
      { KeySpec: "ML_DSA_65", KeyUsage: "SIGN_VERIFY" },
      { KeySpec: "ECC_NIST_EDWARDS25519", KeyUsage: "SIGN_VERIFY" },
      { KeySpec: "ECC_NIST_P256", KeyUsage: "KEY_AGREEMENT" },
      { Origin: "AWS_CLOUDHSM" },
      { Origin: "EXTERNAL_KEY_STORE" },
      { MultiRegion: true },
    ])
      await account.refuses("CreateKey", input, "UnsupportedOperationException");
    for (const input of [{ CustomKeyStoreId: "cks-1" }, { XksKeyId: "x" }])
      assert.equal((await account.failure(account.admin, "CreateKey", input)).type, "UnsupportedOperationException");
  });

  it("takes a policy that keeps its author in, and refuses one that locks it out unless told to pass", async () => {
    const { account: number } = account.km.custody.identity;
    const policyFor = (AWS: string) =>
      JSON.stringify({
        Version: "2012-10-17",
        Statement: [{ Effect: "Allow", Principal: { AWS }, Action: "kms:*", Resource: "*" }],
      });
    const kept = policyFor(`arn:aws:iam::${number}:root`);
    const KeyId = await account.key({ Policy: kept, MultiRegion: false, Origin: "AWS_KMS" });
    assert.equal((await account.do("GetKeyPolicy", { KeyId })).Policy, kept);
    const locked = policyFor(account.user.principal);
    assert.equal(
      (await account.failure(account.admin, "CreateKey", { Policy: locked })).type,
      "MalformedPolicyDocumentException",
    );
    assert.equal(
      (await account.failure(account.admin, "PutKeyPolicy", { KeyId, Policy: locked })).type,
      "MalformedPolicyDocumentException",
    );
    await account.key({ Policy: locked, BypassPolicyLockoutSafetyCheck: true });
  });
});
