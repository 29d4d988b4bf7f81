import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { AwsAccount, b64, usesKeys } from "./aws-account.ts";

/** Operations that take an alias as well as an id. GenerateMac and VerifyMac do, though AWS's text does not say so. */
const takeAliases = [...usesKeys, "DescribeKey"].filter((name) => name !== "GenerateRandom");

describe("names of keys, operation by operation", () => {
  let account: AwsAccount;
  let id: string;
  let arn: string;
  let alias: string;
  const blob = b64("x");
  before(async () => {
    account = await AwsAccount.make();
    id = await account.key();
    arn = account.arn(id);
    alias = account.aliasArn("alias/nodes");
    await account.do("CreateAlias", { AliasName: "alias/nodes", TargetKeyId: id });
  });
  after(() => account.end());

  /** A request of each operation that names a key, which is otherwise in order. */
  function requests(name: string): Readonly<Record<string, Record<string, unknown>>> {
    const KeyId = name;
    const message = { KeyId, Message: blob, SigningAlgorithm: "ECDSA_SHA_256" };
    const mac = { KeyId, Message: blob, MacAlgorithm: "HMAC_SHA_256" };
    return {
      Encrypt: { KeyId, Plaintext: blob },
      Decrypt: { KeyId, CiphertextBlob: blob },
      ReEncrypt: { SourceKeyId: id, DestinationKeyId: KeyId, CiphertextBlob: blob },
      GenerateDataKey: { KeyId, KeySpec: "AES_128" },
      GenerateDataKeyWithoutPlaintext: { KeyId, KeySpec: "AES_128" },
      GenerateDataKeyPair: { KeyId, KeyPairSpec: "ECC_NIST_P256" },
      GenerateDataKeyPairWithoutPlaintext: { KeyId, KeyPairSpec: "ECC_NIST_P256" },
      DescribeKey: { KeyId },
      GetPublicKey: { KeyId },
      Sign: message,
      Verify: { ...message, Signature: blob },
      GenerateMac: mac,
      VerifyMac: { ...mac, Mac: blob },
      EnableKey: { KeyId },
      DisableKey: { KeyId },
      ScheduleKeyDeletion: { KeyId },
      CancelKeyDeletion: { KeyId },
      UpdateKeyDescription: { KeyId, Description: "x" },
      GetKeyPolicy: { KeyId },
      PutKeyPolicy: { KeyId, Policy: "{}" },
      ListKeyPolicies: { KeyId },
      CreateGrant: { KeyId, GranteePrincipal: account.nobody.principal, Operations: ["Decrypt"] },
      ListGrants: { KeyId },
      RevokeGrant: { KeyId, GrantId: "x" },
      RetireGrant: { KeyId, GrantId: "x" },
      TagResource: { KeyId, Tags: [] },
      UntagResource: { KeyId, TagKeys: [] },
      ListResourceTags: { KeyId },
      EnableKeyRotation: { KeyId },
      DisableKeyRotation: { KeyId },
      GetKeyRotationStatus: { KeyId },
      RotateKeyOnDemand: { KeyId },
      ListKeyRotations: { KeyId },
      GetParametersForImport: { KeyId, WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048" },
      ImportKeyMaterial: {
        KeyId,
        ImportToken: blob,
        EncryptedKeyMaterial: blob,
        ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE",
      },
      DeleteImportedKeyMaterial: { KeyId },
      CreateAlias: { AliasName: "alias/other", TargetKeyId: KeyId },
      UpdateAlias: { AliasName: "alias/nodes", TargetKeyId: KeyId },
      ListAliases: { KeyId },
    };
  }

  /** Whether the name of the key itself was refused. */
  async function nameRefused(operation: string, name: string): Promise<boolean> {
    const caller = usesKeys.has(operation) ? account.user : account.admin;
    try {
      await account.run(caller, operation, requests(name)[operation]);
      return false;
    } catch (error) {
      return error instanceof Error && error.message === `Invalid keyId '${name}'`;
    }
  }

  it("are aliases and their ARNs only where AWS takes them", async () => {
    for (const operation of Object.keys(requests(id)))
      for (const name of ["alias/nodes", alias])
        assert.equal(await nameRefused(operation, name), !takeAliases.includes(operation), `${operation} ${name}`);
  });

  it("are ids and key ARNs everywhere", async () => {
    const other = await account.key();
    for (const operation of Object.keys(requests(id)))
      for (const name of [other, account.arn(other)])
        assert.equal(await nameRefused(operation, name), false, `${operation} ${name}`);
  });

  it("are compared as they are: case, spaces, paths and look-alikes name nothing", async () => {
    for (const name of [
      id.toUpperCase(),
      ` ${id}`,
      `${id} `,
      `${id}\n`,
      `key/${id}`,
      `{${id}}`,
      id.replaceAll("-", ""),
      "Alias/nodes",
      "alias/nodes ",
      "alias/../nodes",
      "alias/nödes",
      "alias/",
      "alias",
      "nodes",
      "arn:aws:kms",
      arn.toUpperCase(),
      `${arn} `,
      arn.replace("key/", "key//"),
      arn.replace("arn:aws:", "arn:aws-cn:"),
      `${arn}/x`,
      alias.replace("alias/", "Alias/"),
      `arn:aws:kms:${account.km.custody.identity.region}::key/${id}`,
      "__proto__",
      "constructor",
    ])
      await account.refuses("DescribeKey", { KeyId: name }, "NotFoundException", `Invalid keyId '${name}'`);
    for (const name of ["alias/Nodes", "alias/nodes/", "alias//nodes", "alias/node"])
      await account.refuses(
        "DescribeKey",
        { KeyId: name },
        "NotFoundException",
        `Alias ${account.aliasArn(name)} is not found.`,
      );
    const foreign = arn.replace(account.km.custody.identity.account, "123456789012");
    await account.refuses("DescribeKey", { KeyId: foreign }, "NotFoundException", `Key '${foreign}' does not exist`);
  });

  it("come back as the key's ARN, never as the alias", async () => {
    const key = await account.key();
    await account.do("CreateAlias", { AliasName: "alias/told", TargetKeyId: key });
    const keyName = account.arn(key);
    for (const KeyId of [key, keyName, "alias/told", account.aliasArn("alias/told")]) {
      assert.equal((await account.do("DescribeKey", { KeyId })).KeyMetadata.Arn, keyName);
      const made = await account.do("Encrypt", { KeyId, Plaintext: blob });
      assert.equal(made.KeyId, keyName);
      assert.equal((await account.do("Decrypt", { KeyId, CiphertextBlob: b64(made.CiphertextBlob) })).KeyId, keyName);
    }
  });
});
