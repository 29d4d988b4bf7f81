import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { AwsAccount, b64 } from "./aws-account.ts";

const pendingDays = { PendingWindowInDays: 7 };

describe("failures of the AWS door, in AWS's words", () => {
  let account: AwsAccount;
  let id: string;
  let arn: string;
  let signing: string;
  before(async () => {
    account = await AwsAccount.make();
    id = await account.key();
    arn = account.arn(id);
    signing = await account.key({ KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY" });
  });
  after(() => account.end());

  it("names of keys: malformed, absent, of another region", async () => {
    const absent = randomUUID();
    await account.refuses("DescribeKey", { KeyId: "fake-key-id" }, "NotFoundException", "Invalid keyId 'fake-key-id'");
    await account.refuses(
      "DescribeKey",
      { KeyId: absent },
      "NotFoundException",
      `Key '${account.arn(absent)}' does not exist`,
    );
    await account.refuses(
      "DescribeKey",
      { KeyId: account.arn(absent) },
      "NotFoundException",
      `Key '${account.arn(absent)}' does not exist`,
    );
    const elsewhere = `arn:aws:kms:eu-west-1:${account.km.custody.identity.account}:key/${id}`;
    await account.refuses("DescribeKey", { KeyId: elsewhere }, "NotFoundException", "Invalid arn eu-west-1");
    const alias = account.aliasArn("alias/absent");
    await account.refuses(
      "Encrypt",
      { KeyId: "alias/absent", Plaintext: b64("x") },
      "NotFoundException",
      `Alias ${alias} is not found.`,
    );
    await account.refuses("DescribeKey", { KeyId: alias }, "NotFoundException", `Alias ${alias} is not found.`);
    await account.refuses(
      "DeleteAlias",
      { AliasName: "alias/absent" },
      "NotFoundException",
      `Alias ${alias} is not found.`,
    );
    await account.refuses(
      "UpdateAlias",
      { AliasName: "alias/absent", TargetKeyId: id },
      "NotFoundException",
      `Alias ${alias} is not found.`,
    );
  });

  it("states of keys: disabled, pending deletion, pending import", async () => {
    const key = await account.key();
    const named = account.arn(key);
    const request = { KeyId: key, Plaintext: b64("x") };
    await account.do("DisableKey", { KeyId: key });
    await account.refuses("Encrypt", request, "DisabledException", `${named} is disabled.`);
    await account.do("ScheduleKeyDeletion", { KeyId: key, ...pendingDays });
    await account.refuses("Encrypt", request, "KMSInvalidStateException", `${named} is pending deletion.`);
    const waiting = await account.key({ Origin: "EXTERNAL" });
    await account.refuses(
      "Encrypt",
      { ...request, KeyId: waiting },
      "KMSInvalidStateException",
      `${account.arn(waiting)} is pending import.`,
    );
  });

  it("ciphertexts: another context, altered, no box, under another key than the one named", async () => {
    const EncryptionContext = { node: "n1" };
    const made = await account.do("Encrypt", { KeyId: id, Plaintext: b64("secret"), EncryptionContext });
    const blob = made.CiphertextBlob as Buffer;
    const altered = Buffer.from(blob);
    altered.writeUInt8((altered.at(-1) ?? 0) ^ 1, altered.length - 1);
    for (const request of [
      { CiphertextBlob: b64(blob) },
      { CiphertextBlob: b64(blob), EncryptionContext: { node: "N1" } },
      { CiphertextBlob: b64(blob), EncryptionContext: { ...EncryptionContext, more: "x" } },
      { CiphertextBlob: b64(altered), EncryptionContext },
      { CiphertextBlob: b64(blob.subarray(0, -1)), EncryptionContext },
      { CiphertextBlob: b64("no box"), EncryptionContext },
      { CiphertextBlob: b64("no box"), KeyId: id },
      { CiphertextBlob: b64(Buffer.alloc(6144)) },
    ])
      await account.refuses("Decrypt", request, "InvalidCiphertextException");
    const other = await account.key();
    const wrong = "The key ID in the request does not identify a CMK that can perform this operation.";
    await account.refuses(
      "Decrypt",
      { CiphertextBlob: b64(blob), EncryptionContext, KeyId: other },
      "IncorrectKeyException",
      wrong,
    );
    await account.refuses(
      "ReEncrypt",
      {
        CiphertextBlob: b64(blob),
        SourceEncryptionContext: EncryptionContext,
        SourceKeyId: other,
        DestinationKeyId: id,
      },
      "IncorrectKeyException",
      wrong,
    );
    await account.refuses(
      "ReEncrypt",
      { CiphertextBlob: b64(altered), SourceEncryptionContext: EncryptionContext, DestinationKeyId: id },
      "InvalidCiphertextException",
    );
  });

  it("what a key is for: usage, algorithm, spec", async () => {
    await account.refuses(
      "Encrypt",
      { KeyId: signing, Plaintext: b64("x") },
      "InvalidKeyUsageException",
      `${account.arn(signing)} key usage is SIGN_VERIFY which is not valid for Encrypt.`,
    );
    const mac = await account.key({ KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC" });
    await account.refuses(
      "GenerateMac",
      { KeyId: mac, Message: b64("x"), MacAlgorithm: "HMAC_SHA_512" },
      "InvalidKeyUsageException",
      "Algorithm HMAC_SHA_512 is incompatible with key spec HMAC_256.",
    );
    await account.refuses(
      "Sign",
      { KeyId: id, Message: b64("x"), SigningAlgorithm: "ECDSA_SHA_256" },
      "InvalidKeyUsageException",
      `${arn} key usage is ENCRYPT_DECRYPT which is not valid for Sign.`,
    );
    await account.refuses("RotateKeyOnDemand", { KeyId: signing }, "UnsupportedOperationException");
    await account.refuses("EnableKeyRotation", { KeyId: mac }, "UnsupportedOperationException");
    await account.refuses("GetPublicKey", { KeyId: id }, "UnsupportedOperationException");
  });

  it("signatures and MACs that are not the key's", async () => {
    const message = { Message: b64("message"), KeyId: signing, SigningAlgorithm: "ECDSA_SHA_256" };
    const { Signature } = await account.do("Sign", message);
    await account.refuses(
      "Verify",
      { ...message, Message: b64("massage"), Signature: b64(Signature) },
      "KMSInvalidSignatureException",
    );
    await account.refuses("Verify", { ...message, Signature: b64("x") }, "KMSInvalidSignatureException");
    const mac = await account.key({ KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC" });
    await account.refuses(
      "VerifyMac",
      { KeyId: mac, Message: b64("m"), MacAlgorithm: "HMAC_SHA_256", Mac: b64(Buffer.alloc(32)) },
      "KMSInvalidMacException",
    );
    await account.refuses(
      "Sign",
      { ...message, MessageType: "DIGEST", Message: b64(Buffer.alloc(20)) },
      "ValidationException",
      "Digest is invalid length for algorithm ECDSA_SHA_256.",
    );
    const rsa = await account.key({ KeySpec: "RSA_2048", KeyUsage: "ENCRYPT_DECRYPT" });
    await account.refuses(
      "Encrypt",
      { KeyId: rsa, Plaintext: b64(Buffer.alloc(191)), EncryptionAlgorithm: "RSAES_OAEP_SHA_256" },
      "ValidationException",
      "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes.",
    );
    await account.refuses(
      "Encrypt",
      { KeyId: rsa, Plaintext: b64("x") },
      "InvalidKeyUsageException",
      "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.",
    );
  });

  it("constraints", async () => {
    await account.refuses(
      "Encrypt",
      { KeyId: id, Plaintext: b64(Buffer.alloc(4097)) },
      "ValidationException",
      "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096",
    );
    await account.refuses(
      "GenerateRandom",
      { NumberOfBytes: 1025 },
      "ValidationException",
      "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024",
    );
    await account.refuses("GenerateRandom", {}, "ValidationException", "NumberOfBytes is required.");
    await account.refuses(
      "CreateAlias",
      { AliasName: "nodes", TargetKeyId: id },
      "ValidationException",
      'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
    );
    await account.refuses("CreateAlias", { AliasName: "alias/aws/kms", TargetKeyId: id }, "NotAuthorizedException");
    await account.refuses(
      "ScheduleKeyDeletion",
      { KeyId: id, PendingWindowInDays: 6 },
      "ValidationException",
      "1 validation error detected: Value '6' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value greater than or equal to 7",
    );
    const either = "Please specify either number of bytes or key spec.";
    await account.refuses("GenerateDataKey", { KeyId: id }, "ValidationException", either);
    await account.refuses(
      "GenerateDataKey",
      { KeyId: id, NumberOfBytes: 32, KeySpec: "AES_256" },
      "ValidationException",
      either,
    );
  });

  it("contexts: too large, with an empty name, with a name of the server's, for a key that takes none", async () => {
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`n${index}`, "v"]));
    for (const EncryptionContext of [many, { "": "v" }, { a: "x".repeat(9000) }, { "strongroom:node": "n1" }]) {
      const sealing = { KeyId: id, Plaintext: b64("x"), EncryptionContext };
      assert.equal((await account.failure(account.user, "Encrypt", sealing)).type, "ValidationException");
      const opening = { CiphertextBlob: b64("x"), EncryptionContext };
      assert.equal((await account.failure(account.user, "Decrypt", opening)).type, "ValidationException");
    }
    await account.refuses(
      "Encrypt",
      { KeyId: id, Plaintext: b64("x"), EncryptionContext: { a: "b" }, EncryptionAlgorithm: "RSAES_OAEP_SHA_256" },
      "ValidationException",
      "EncryptionContext is only supported for symmetric encryption keys.",
    );
  });

  it("dry runs, of every operation that has them", async () => {
    const passed = "The request would have succeeded, but the DryRun option is set.";
    const DryRun = true;
    const key = await account.key();
    const { CiphertextBlob } = await account.do("Encrypt", { KeyId: key, Plaintext: b64("x") });
    const message = { KeyId: signing, Message: b64("m"), SigningAlgorithm: "ECDSA_SHA_256" };
    const { Signature } = await account.do("Sign", message);
    const KeyId = await account.key({ KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC" });
    const mac = { KeyId, Message: b64("m"), MacAlgorithm: "HMAC_SHA_256" };
    const { Mac } = await account.do("GenerateMac", mac);
    const grant = { KeyId: key, GranteePrincipal: account.nobody.principal, Operations: ["Decrypt"] };
    const { GrantId } = await account.do("CreateGrant", grant);
    const before = (await account.do("ListGrants", { KeyId: key })).Grants.length;
    for (const [name, input] of [
      ["Encrypt", { KeyId: key, Plaintext: b64("x") }],
      ["Decrypt", { CiphertextBlob: b64(CiphertextBlob) }],
      ["ReEncrypt", { CiphertextBlob: b64(CiphertextBlob), DestinationKeyId: key }],
      ["GenerateDataKey", { KeyId: key, KeySpec: "AES_256" }],
      ["GenerateDataKeyWithoutPlaintext", { KeyId: key, NumberOfBytes: 16 }],
      ["GenerateDataKeyPair", { KeyId: key, KeyPairSpec: "ECC_NIST_P256" }],
      ["GenerateDataKeyPairWithoutPlaintext", { KeyId: key, KeyPairSpec: "SM2" }],
      ["Sign", message],
      ["Verify", { ...message, Signature: b64(Signature) }],
      ["GenerateMac", mac],
      ["VerifyMac", { ...mac, Mac: b64(Mac) }],
      ["CreateGrant", { ...grant, Name: "second" }],
      ["RevokeGrant", { KeyId: key, GrantId }],
    ] as const)
      await account.refuses(name, { ...input, DryRun }, "DryRunOperationException", passed);
    const retirable = await account.do("CreateGrant", { ...grant, RetiringPrincipal: account.nobody.principal });
    assert.deepEqual(
      await account.failure(account.nobody, "RetireGrant", { GrantToken: retirable.GrantToken, DryRun }),
      { type: "DryRunOperationException", status: 400, message: passed },
    );
    assert.equal((await account.do("ListGrants", { KeyId: key })).Grants.length, before + 1);
    await account.refuses("Decrypt", { CiphertextBlob: b64("x"), DryRun }, "InvalidCiphertextException");
  });

  it("limits, tags, aliases, policies", async () => {
    const key = await account.key();
    const named = account.arn(key);
    for (let round = 0; round < 25; round++) await account.do("RotateKeyOnDemand", { KeyId: key });
    await account.refuses(
      "RotateKeyOnDemand",
      { KeyId: key },
      "LimitExceededException",
      `The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: ${named}`,
    );
    const tag = (TagKey: string) => ({ TagKey, TagValue: "v" });
    for (const [Tags, message] of [
      [[tag("a"), tag("a")], "Duplicate tag keys"],
      [[tag("aws:x")], "Tags beginning with aws: are reserved"],
      [Array.from({ length: 51 }, (_, index) => tag(`t${index}`)), "Too many tags"],
    ] as const) {
      await account.refuses("TagResource", { KeyId: key, Tags }, "TagException", message);
      await account.refuses("CreateKey", { Tags }, "TagException", message);
    }
    await account.do("CreateAlias", { AliasName: "alias/taken", TargetKeyId: key });
    await account.refuses(
      "CreateAlias",
      { AliasName: "alias/taken", TargetKeyId: id },
      "AlreadyExistsException",
      `An alias with the name ${account.aliasArn("alias/taken")} already exists`,
    );
    for (const Policy of ["{", "{}", '{"Version":"2012-10-17","Statement":[]}'])
      assert.equal(
        (await account.failure(account.admin, "PutKeyPolicy", { KeyId: key, Policy })).type,
        "MalformedPolicyDocumentException",
        Policy,
      );
    await account.refuses(
      "GetKeyPolicy",
      { KeyId: key, PolicyName: "x" },
      "NotFoundException",
      "No such policy exists",
    );
  });

  it("import: another origin, tokens that are not one, material that does not unwrap", async () => {
    const parameters = { WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048" };
    await account.refuses(
      "GetParametersForImport",
      { KeyId: id, ...parameters },
      "UnsupportedOperationException",
      `${arn} origin is AWS_KMS which is not valid for this operation.`,
    );
    const key = await account.key({ Origin: "EXTERNAL" });
    const given = {
      KeyId: key,
      EncryptedKeyMaterial: b64(Buffer.alloc(256, 1)),
      ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE",
    };
    await account.refuses("ImportKeyMaterial", { ...given, ImportToken: b64("x") }, "InvalidImportTokenException");
    const { ImportToken } = await account.do("GetParametersForImport", { KeyId: key, ...parameters });
    await account.refuses(
      "ImportKeyMaterial",
      { ...given, ImportToken: b64(ImportToken.expose((bytes: Buffer) => Buffer.from(bytes))) },
      "InvalidCiphertextException",
    );
    await account.refuses(
      "ImportKeyMaterial",
      { KeyId: key, EncryptedKeyMaterial: b64("x"), ImportToken: b64("x") },
      "ValidationException",
      "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES",
    );
    await account.refuses(
      "GetParametersForImport",
      { KeyId: key, ...parameters, WrappingAlgorithm: "RSAES_PKCS1_V1_5" },
      "UnsupportedOperationException",
    );
  });
});
