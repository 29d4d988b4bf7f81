import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { AwsAccount, b64, reveal } from "./aws-account.ts";

describe("grants of the AWS door", () => {
  let account: AwsAccount;
  let KeyId: string;
  const EncryptionContext = { node: "n1", network: "test" };
  let CiphertextBlob: string;
  before(async () => {
    account = await AwsAccount.make();
    KeyId = await account.key();
    CiphertextBlob = b64(
      (await account.do("Encrypt", { KeyId, Plaintext: b64("x"), EncryptionContext })).CiphertextBlob,
    );
  });
  after(() => account.end());

  const opening = () => account.run(account.nobody, "Decrypt", { CiphertextBlob, EncryptionContext });

  it("let their grantee in at once, and out at once when they are revoked", async () => {
    await assert.rejects(opening(), { type: "AccessDeniedException" });
    const { GrantId, GrantToken } = await account.do("CreateGrant", {
      KeyId,
      GranteePrincipal: account.nobody.principal,
      Operations: ["Decrypt"],
      Constraints: { EncryptionContextEquals: EncryptionContext },
    });
    assert.equal(reveal((await opening()).Plaintext).toString(), "x");
    await assert.rejects(
      account.run(account.nobody, "Decrypt", { CiphertextBlob, EncryptionContext: { node: "n1" } }),
      { type: "AccessDeniedException" },
      "a context that the grant is not for is denied before the ciphertext is looked at",
    );
    await account.do("RevokeGrant", { KeyId, GrantId });
    await assert.rejects(opening(), { type: "AccessDeniedException" });
    await assert.rejects(
      account.run(account.nobody, "Decrypt", { CiphertextBlob, EncryptionContext, GrantTokens: [GrantToken] }),
      { type: "AccessDeniedException" },
      "a token of a grant that is gone opens nothing",
    );
  });

  it("are retired by their token, or by key and id, and by no one else", async () => {
    const { principal } = account.nobody;
    const grant = { KeyId, GranteePrincipal: principal, Operations: ["Decrypt"] };
    const foreign = await account.do("CreateGrant", grant);
    assert.equal(
      (await account.failure(account.nobody, "RetireGrant", { GrantToken: foreign.GrantToken })).type,
      "AccessDeniedException",
    );
    const first = await account.do("CreateGrant", { ...grant, RetiringPrincipal: principal });
    await account.run(account.nobody, "RetireGrant", { GrantToken: first.GrantToken });
    const second = await account.do("CreateGrant", { ...grant, RetiringPrincipal: principal });
    await account.run(account.nobody, "RetireGrant", { KeyId, GrantId: second.GrantId });
    assert.deepEqual(
      (await account.do("ListGrants", { KeyId })).Grants.map((each: { GrantId: string }) => each.GrantId),
      [foreign.GrantId],
    );
  });

  it("are refused in AWS's words when they are not there or not told apart", async () => {
    const pair = "Grant token OR (grant ID, KMS key ID) pair must be specified, not both";
    for (const request of [{}, { KeyId }, { GrantId: "x" }, { KeyId, GrantId: "x", GrantToken: "y" }])
      await account.refuses("RetireGrant", request, "ValidationException", pair);
    for (const GrantToken of ["x", b64("strongroom-grant"), b64("other:1")])
      await account.refuses("RetireGrant", { GrantToken }, "InvalidGrantTokenException");
    await account.refuses("RevokeGrant", { KeyId, GrantId: "x" }, "NotFoundException", "Grant ID x not found");
    await account.refuses("RetireGrant", { KeyId, GrantId: "x" }, "NotFoundException", "Grant ID x not found");
    await account.refuses(
      "RetireGrant",
      { GrantToken: b64("strongroom-grant:x") },
      "NotFoundException",
      "Grant ID x not found",
    );
    for (const Constraints of [
      { EncryptionContextEquals: { a: "b" }, EncryptionContextSubset: { a: "b" } },
      { EncryptionContextSubset: {} },
    ])
      assert.equal(
        (
          await account.failure(account.admin, "CreateGrant", {
            KeyId,
            GranteePrincipal: account.nobody.principal,
            Operations: ["Decrypt"],
            Constraints,
          })
        ).type,
        "ValidationException",
      );
  });
});
