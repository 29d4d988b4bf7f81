import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { AwsAccount, b64 } from "./aws-account.ts";

describe("what the AWS door denies", () => {
  let account: AwsAccount;
  let id: string;
  let arn: string;
  before(async () => {
    account = await AwsAccount.make();
    id = await account.key();
    arn = account.arn(id);
  });
  after(() => account.end());

  it("what the caller may not do, with a key it knows of", async () => {
    const cannot = (action: string, resource: string) =>
      `User: ${account.nobody.principal} is not authorized to perform: kms:${action} on resource: ${resource} because no identity-based policy allows the kms:${action} action`;
    const { CiphertextBlob } = await account.do("Encrypt", { KeyId: id, Plaintext: b64("x") });
    for (const [name, input, resource] of [
      ["Encrypt", { KeyId: id, Plaintext: b64("x") }, arn],
      ["Decrypt", { KeyId: id, CiphertextBlob: b64(CiphertextBlob) }, arn],
      ["DescribeKey", { KeyId: arn }, arn],
      ["DisableKey", { KeyId: id }, arn],
      ["ListKeys", {}, "*"],
      ["CreateKey", {}, "*"],
      ["GenerateRandom", { NumberOfBytes: 1 }, "*"],
    ] as const)
      assert.deepEqual(await account.failure(account.nobody, name, input), {
        type: "AccessDeniedException",
        status: 400,
        message: cannot(name, resource),
      });
  });

  it("hides keys behind a ciphertext: absent, forbidden and disabled ones give one answer", async () => {
    const { CiphertextBlob } = await account.do("Encrypt", { KeyId: id, Plaintext: b64("x") });
    const hiddenFrom = (principal: string, action: string) => ({
      type: "AccessDeniedException",
      status: 400,
      message: `User: ${principal} is not authorized to perform: kms:${action} on the resource associated with this ciphertext because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access`,
    });
    const { principal } = account.nobody;
    const renamed = withOtherKeyId(CiphertextBlob);
    for (const blob of [CiphertextBlob, renamed]) {
      assert.deepEqual(
        await account.failure(account.nobody, "Decrypt", { CiphertextBlob: b64(blob) }),
        hiddenFrom(principal, "Decrypt"),
      );
      assert.deepEqual(
        await account.failure(account.nobody, "ReEncrypt", { CiphertextBlob: b64(blob), DestinationKeyId: id }),
        hiddenFrom(principal, "ReEncryptFrom"),
      );
    }
    assert.deepEqual(
      await account.failure(account.user, "Decrypt", { CiphertextBlob: b64(renamed) }),
      hiddenFrom(account.user.principal, "Decrypt"),
    );
    const disabled = await account.key();
    const sealed = await account.do("Encrypt", { KeyId: disabled, Plaintext: b64("x") });
    await account.do("DisableKey", { KeyId: disabled });
    assert.deepEqual(
      await account.failure(account.nobody, "Decrypt", { CiphertextBlob: b64(sealed.CiphertextBlob) }),
      hiddenFrom(principal, "Decrypt"),
    );
  });

  /** The same box, said to be of a key that never was. */
  function withOtherKeyId(box: Buffer): Buffer {
    const bytes = Buffer.from(id.replaceAll("-", ""), "hex");
    const at = box.indexOf(bytes);
    assert.ok(at > 0, "the box holds its key's id as 16 bytes");
    const other = Buffer.from(box);
    other.writeUInt8((other[at] ?? 0) ^ 0xff, at);
    return other;
  }
});
