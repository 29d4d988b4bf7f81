import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { AwsAccount, b64, usesKeys } from "./aws-account.ts";

type State = "Enabled" | "Disabled" | "PendingDeletion" | "PendingImport";
const states: readonly State[] = ["Enabled", "Disabled", "PendingDeletion", "PendingImport"];

/** What refuses in each state; an operation that is not here works in all of them (AWS KMS, "Key states"). */
const whereOnlyEnabledWorks: Readonly<Partial<Record<State, string>>> = {
  Disabled: "DisabledException",
  PendingDeletion: "KMSInvalidStateException",
  PendingImport: "KMSInvalidStateException",
};
const whereDeletionRefuses = { PendingDeletion: "KMSInvalidStateException" };
const whereOnlyLivingWorks = { PendingDeletion: "KMSInvalidStateException", PendingImport: "KMSInvalidStateException" };

describe("operations of the AWS door, by the state of their key", () => {
  let account: AwsAccount;
  let enabled: string;
  before(async () => {
    account = await AwsAccount.make();
    enabled = await account.key();
  });
  after(() => account.end());

  async function keyIn(state: State): Promise<string> {
    const KeyId = await account.key(state === "PendingImport" ? { Origin: "EXTERNAL" } : {});
    if (state === "Disabled") await account.do("DisableKey", { KeyId });
    if (state === "PendingDeletion") await account.do("ScheduleKeyDeletion", { KeyId });
    return KeyId;
  }

  const KeyId = "KEY";
  const grant = () => ({ GranteePrincipal: account.nobody.principal, Operations: ["Decrypt"] });
  const rows: readonly (readonly [string, () => Record<string, unknown>, Readonly<Partial<Record<State, string>>>])[] =
    [
      ["Encrypt", () => ({ KeyId, Plaintext: b64("x") }), whereOnlyEnabledWorks],
      ["GenerateDataKey", () => ({ KeyId, KeySpec: "AES_256" }), whereOnlyEnabledWorks],
      ["GenerateDataKeyWithoutPlaintext", () => ({ KeyId, KeySpec: "AES_256" }), whereOnlyEnabledWorks],
      ["GenerateDataKeyPair", () => ({ KeyId, KeyPairSpec: "ECC_NIST_P256" }), whereOnlyEnabledWorks],
      ["GenerateDataKeyPairWithoutPlaintext", () => ({ KeyId, KeyPairSpec: "ECC_NIST_P256" }), whereOnlyEnabledWorks],
      ["CreateGrant", () => ({ KeyId, ...grant() }), whereOnlyEnabledWorks],
      ["EnableKey", () => ({ KeyId }), whereOnlyLivingWorks],
      ["DisableKey", () => ({ KeyId }), whereOnlyLivingWorks],
      [
        "CreateAlias",
        () => ({ AliasName: `alias/${Math.random().toString(36).slice(2)}`, TargetKeyId: KeyId }),
        whereDeletionRefuses,
      ],
      ["UpdateAlias", () => ({ AliasName: "alias/moving", TargetKeyId: KeyId }), whereDeletionRefuses],
      ["TagResource", () => ({ KeyId, Tags: [{ TagKey: "a", TagValue: "b" }] }), whereDeletionRefuses],
      ["UntagResource", () => ({ KeyId, TagKeys: ["a"] }), whereDeletionRefuses],
      ["UpdateKeyDescription", () => ({ KeyId, Description: "d" }), whereDeletionRefuses],
      ["ScheduleKeyDeletion", () => ({ KeyId }), whereDeletionRefuses],
      [
        "CancelKeyDeletion",
        () => ({ KeyId }),
        {
          Enabled: "KMSInvalidStateException",
          Disabled: "KMSInvalidStateException",
          PendingImport: "KMSInvalidStateException",
        },
      ],
      ["DescribeKey", () => ({ KeyId }), {}],
      ["GetKeyPolicy", () => ({ KeyId }), {}],
      ["ListKeyPolicies", () => ({ KeyId }), {}],
      ["ListGrants", () => ({ KeyId }), {}],
      ["ListResourceTags", () => ({ KeyId }), {}],
      ["ListAliases", () => ({ KeyId }), {}],
    ];

  for (const state of states)
    it(`answers as AWS's table says while the key is ${state}`, async () => {
      for (const [operation, request, refusals] of rows) {
        if (operation === "UpdateAlias" && state === "Enabled")
          await account.do("CreateAlias", { AliasName: "alias/moving", TargetKeyId: enabled });
        const key = await keyIn(state);
        const input = Object.fromEntries(
          Object.entries(request()).map(([name, value]) => [name, value === KeyId ? key : value]),
        );
        const refusal = refusals[state];
        const caller = usesKeys.has(operation) ? account.user : account.admin;
        if (refusal === undefined) await account.run(caller, operation, input);
        else {
          const { type, message } = await account.failure(caller, operation, input);
          assert.equal(type, refusal, `${operation} while ${state}`);
          assert.equal(message?.startsWith(account.arn(key)), true, message ?? operation);
        }
      }
    });

  it("refuses Decrypt and ReEncrypt under a key that is not enabled, and lets grants be ended", async () => {
    for (const state of ["Disabled", "PendingDeletion"] as const) {
      const key = await account.key();
      const made = await account.do("Encrypt", { KeyId: key, Plaintext: b64("x") });
      const CiphertextBlob = b64(made.CiphertextBlob);
      const { GrantId } = await account.do("CreateGrant", { KeyId: key, ...grant() });
      await account.do(state === "Disabled" ? "DisableKey" : "ScheduleKeyDeletion", { KeyId: key });
      const type = whereOnlyEnabledWorks[state] ?? "";
      const message = `${account.arn(key)} is ${state === "Disabled" ? "disabled" : "pending deletion"}.`;
      await account.refuses("Decrypt", { CiphertextBlob }, type, message);
      await account.refuses("ReEncrypt", { CiphertextBlob, DestinationKeyId: enabled }, type, message);
      const live = b64((await account.do("Encrypt", { KeyId: enabled, Plaintext: b64("x") })).CiphertextBlob);
      await account.refuses("ReEncrypt", { CiphertextBlob: live, DestinationKeyId: key }, type, message);
      await account.do("RevokeGrant", { KeyId: key, GrantId });
    }
  });

  it("refuses signatures, MACs and public keys of keys that are not enabled", async () => {
    for (const [spec, usage, operation, more] of [
      ["ECC_SECG_P256K1", "SIGN_VERIFY", "Sign", { Message: b64("m"), SigningAlgorithm: "ECDSA_SHA_256" }],
      [
        "ECC_SECG_P256K1",
        "SIGN_VERIFY",
        "Verify",
        { Message: b64("m"), SigningAlgorithm: "ECDSA_SHA_256", Signature: b64("s") },
      ],
      ["ECC_SECG_P256K1", "SIGN_VERIFY", "GetPublicKey", {}],
      ["HMAC_256", "GENERATE_VERIFY_MAC", "GenerateMac", { Message: b64("m"), MacAlgorithm: "HMAC_SHA_256" }],
      [
        "HMAC_256",
        "GENERATE_VERIFY_MAC",
        "VerifyMac",
        { Message: b64("m"), MacAlgorithm: "HMAC_SHA_256", Mac: b64("m") },
      ],
    ] as const) {
      const key = await account.key({ KeySpec: spec, KeyUsage: usage });
      await account.do("DisableKey", { KeyId: key });
      await account.refuses(
        operation,
        { KeyId: key, ...more },
        "DisabledException",
        `${account.arn(key)} is disabled.`,
      );
    }
  });

  it("leaves a key disabled when its deletion is cancelled", async () => {
    const key = await keyIn("PendingDeletion");
    assert.deepEqual(await account.do("CancelKeyDeletion", { KeyId: key }), { KeyId: account.arn(key) });
    const { KeyMetadata } = await account.do("DescribeKey", { KeyId: key });
    assert.deepEqual(
      [KeyMetadata.KeyState, KeyMetadata.Enabled, KeyMetadata.DeletionDate],
      ["Disabled", false, undefined],
    );
  });
});
