import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { AwsAccount, b64 } from "./aws-account.ts";

const dayMs = 24 * 60 * 60 * 1000;

describe("a key that was deleted, at the AWS door", () => {
  let account: AwsAccount;
  let gone: string;
  let living: string;
  let ciphertext: string;
  let grantId: string;
  let grantToken: string;
  before(async () => {
    account = await AwsAccount.make();
    [gone, living] = [await account.key(), await account.key()];
    ciphertext = b64((await account.do("Encrypt", { KeyId: gone, Plaintext: b64("x") })).CiphertextBlob);
    await account.do("CreateAlias", { AliasName: "alias/gone", TargetKeyId: gone });
    await account.do("TagResource", { KeyId: gone, Tags: [{ TagKey: "a", TagValue: "b" }] });
    const operations = { Operations: ["Decrypt", "RetireGrant"], RetiringPrincipal: account.admin.principal };
    const grant = await account.do("CreateGrant", {
      KeyId: gone,
      GranteePrincipal: account.nobody.principal,
      ...operations,
    });
    [grantId, grantToken] = [grant.GrantId, grant.GrantToken];
    await account.do("ScheduleKeyDeletion", { KeyId: gone, PendingWindowInDays: 7 });
    account.km.nowMs += 7 * dayMs;
    assert.equal(await account.km.custody.keys.destroyDue(), 1);
  });
  after(() => account.end());

  const operations: readonly (readonly [string, (KeyId: string) => Record<string, unknown>])[] = [
    ["DescribeKey", (KeyId) => ({ KeyId })],
    ["GetKeyPolicy", (KeyId) => ({ KeyId })],
    ["ListKeyPolicies", (KeyId) => ({ KeyId })],
    ["PutKeyPolicy", (KeyId) => ({ KeyId, Policy: "{}" })],
    ["ListGrants", (KeyId) => ({ KeyId })],
    ["CreateGrant", (KeyId) => ({ KeyId, GranteePrincipal: account.nobody.principal, Operations: ["Decrypt"] })],
    ["RevokeGrant", (KeyId) => ({ KeyId, GrantId: grantId })],
    ["RetireGrant", (KeyId) => ({ KeyId, GrantId: grantId })],
    ["ListResourceTags", (KeyId) => ({ KeyId })],
    ["TagResource", (KeyId) => ({ KeyId, Tags: [{ TagKey: "c", TagValue: "d" }] })],
    ["UntagResource", (KeyId) => ({ KeyId, TagKeys: ["a"] })],
    ["UpdateKeyDescription", (KeyId) => ({ KeyId, Description: "d" })],
    ["ListAliases", (KeyId) => ({ KeyId })],
    ["CreateAlias", (KeyId) => ({ AliasName: "alias/new", TargetKeyId: KeyId })],
    ["EnableKey", (KeyId) => ({ KeyId })],
    ["DisableKey", (KeyId) => ({ KeyId })],
    ["ScheduleKeyDeletion", (KeyId) => ({ KeyId })],
    ["CancelKeyDeletion", (KeyId) => ({ KeyId })],
    ["GetKeyRotationStatus", (KeyId) => ({ KeyId })],
    ["ListKeyRotations", (KeyId) => ({ KeyId })],
    ["EnableKeyRotation", (KeyId) => ({ KeyId })],
    ["DisableKeyRotation", (KeyId) => ({ KeyId })],
    ["RotateKeyOnDemand", (KeyId) => ({ KeyId })],
    ["GetPublicKey", (KeyId) => ({ KeyId })],
    ["Encrypt", (KeyId) => ({ KeyId, Plaintext: b64("x") })],
    ["Decrypt", (KeyId) => ({ KeyId, CiphertextBlob: ciphertext })],
    ["ReEncrypt", (KeyId) => ({ SourceKeyId: KeyId, DestinationKeyId: living, CiphertextBlob: ciphertext })],
    ["GenerateDataKey", (KeyId) => ({ KeyId, KeySpec: "AES_256" })],
    ["GenerateDataKeyWithoutPlaintext", (KeyId) => ({ KeyId, KeySpec: "AES_256" })],
    ["GenerateMac", (KeyId) => ({ KeyId, Message: b64("m"), MacAlgorithm: "HMAC_SHA_256" })],
    [
      "GetParametersForImport",
      (KeyId) => ({ KeyId, WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048" }),
    ],
    ["DeleteImportedKeyMaterial", (KeyId) => ({ KeyId })],
  ];

  for (const [operation, input] of operations)
    it(`is as absent for ${operation} as one that never was`, async () => {
      const missing = "00000000-0000-4000-8000-000000000000";
      for (const [name, arn] of [
        [gone, account.arn(gone)],
        [account.arn(gone), account.arn(gone)],
        [missing, account.arn(missing)],
      ] as const)
        await account.refuses(operation, input(name), "NotFoundException", `Key '${arn}' does not exist`);
      // Who may do nothing with it is told no more than of a key that lives.
      const { type } = await account.failure(account.nobody, operation, input(gone));
      assert.match(type, /^(?:AccessDenied|NotFound)Exception$/);
    });

  it("is not told of to who has only its ciphertext", async () => {
    for (const caller of [account.user, account.nobody]) {
      const { type } = await account.failure(caller, "Decrypt", { CiphertextBlob: ciphertext });
      assert.equal(type, "AccessDeniedException");
      const moving = { CiphertextBlob: ciphertext, DestinationKeyId: living };
      assert.equal((await account.failure(caller, "ReEncrypt", moving)).type, "AccessDeniedException");
    }
  });

  it("is absent as the destination of ReEncrypt", async () => {
    const blob = b64((await account.do("Encrypt", { KeyId: living, Plaintext: b64("x") })).CiphertextBlob);
    const message = `Key '${account.arn(gone)}' does not exist`;
    await account.refuses("ReEncrypt", { CiphertextBlob: blob, DestinationKeyId: gone }, "NotFoundException", message);
  });

  it("leaves no alias, grant or listing behind", async () => {
    const { Aliases } = await account.do("ListAliases");
    assert.deepEqual(Aliases, []);
    const text = `Alias ${account.aliasArn("alias/gone")} is not found.`;
    await account.refuses("DescribeKey", { KeyId: "alias/gone" }, "NotFoundException", text);
    await account.refuses("DeleteAlias", { AliasName: "alias/gone" }, "NotFoundException", text);
    const retirable = { RetiringPrincipal: account.admin.principal };
    assert.deepEqual((await account.do("ListRetirableGrants", retirable)).Grants, []);
    const { type } = await account.failure(account.nobody, "RetireGrant", { GrantToken: grantToken });
    assert.equal(type, "NotFoundException");
    const { Keys } = await account.do("ListKeys");
    assert.deepEqual(
      Keys.map(({ KeyId }: { KeyId: string }) => KeyId),
      [living],
    );
  });

  it("leaves its alias free for another key", async () => {
    await account.do("CreateAlias", { AliasName: "alias/gone", TargetKeyId: living });
    await account.do("DeleteAlias", { AliasName: "alias/gone" });
  });
});
