import { keySpecs } from "../../../crypto/key-specs.ts";
import type { CreateKeyInput } from "../../../custody/service.ts";
import { type DefinedOperation, defineOperation } from "../define.ts";
import { AwsError } from "../errors.ts";
import { keyMetadata } from "../key-metadata.ts";
import { description, flag, grantTokens, keyId, policy, tagList } from "../members.ts";
import { moreAfter, page, pageAsked } from "../pagination.ts";
import { optional, required } from "../shape.ts";
import { awsKeyState, epochSeconds, keySpecNames, keySpecOf, keyUsageOf } from "../vocabulary.ts";
import { tagsOf } from "./tag-list.ts";

/** Specs of AWS that no key here can have: a request for one is understood and refused. */
const otherSpecs = [
  "ECC_NIST_EDWARDS25519",
  "ML_DSA_44",
  "ML_DSA_65",
  "ML_DSA_87",
  "ML_KEM_512",
  "ML_KEM_768",
  "ML_KEM_1024",
];
const keySpec = { kind: "string", values: [...keySpecNames, ...otherSpecs] } as const;
const keyUsage = {
  kind: "string",
  values: ["SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT", "ENCAPSULATE_DECAPSULATE"],
} as const;
const origin = { kind: "string", values: ["AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"] } as const;
const defaultPageLength = 100;
const defaultPendingDays = 30;

export const createKey: DefinedOperation = defineOperation(
  "CreateKey",
  {
    Policy: optional(policy),
    Description: optional(description),
    KeyUsage: optional(keyUsage),
    CustomerMasterKeySpec: optional(keySpec),
    KeySpec: optional(keySpec),
    Origin: optional(origin),
    BypassPolicyLockoutSafetyCheck: optional(flag),
    Tags: optional(tagList),
    MultiRegion: optional(flag),
  },
  async ({ custody, caller, identity }, input) => {
    if (input.KeySpec !== undefined && input.CustomerMasterKeySpec !== undefined)
      throw new AwsError(
        "ValidationException",
        "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.",
      );
    if (input.MultiRegion === true) throw new AwsError("UnsupportedOperationException");
    const made = await custody.keys.create(caller, {
      ...specAndUsage(input.KeySpec ?? input.CustomerMasterKeySpec, input.KeyUsage),
      ...(input.Origin === undefined ? {} : { origin: originOf(input.Origin) }),
      ...(input.Description === undefined ? {} : { description: input.Description }),
      ...(input.Policy === undefined ? {} : { policy: input.Policy }),
      ...(input.BypassPolicyLockoutSafetyCheck === undefined
        ? {}
        : { bypassLockoutCheck: input.BypassPolicyLockoutSafetyCheck }),
      ...(input.Tags === undefined ? {} : { tags: tagsOf(input.Tags) }),
    });
    return { KeyMetadata: keyMetadata(identity, made) };
  },
);

function specAndUsage(specName = "SYMMETRIC_DEFAULT", usageName?: string): Pick<CreateKeyInput, "spec" | "usage"> {
  const spec = keySpecOf(specName);
  if (spec === undefined) throw new AwsError("UnsupportedOperationException");
  if (usageName === undefined && spec !== "AES_256" && spec !== "SM4")
    throw new AwsError(
      "ValidationException",
      "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.",
    );
  const usage = keyUsageOf(usageName ?? "ENCRYPT_DECRYPT");
  if (usage === undefined) throw new AwsError("UnsupportedOperationException");
  if (!keySpecs[spec].usages.some((each) => each === usage))
    throw new AwsError("ValidationException", `KeyUsage ${usageName} is not compatible with KeySpec ${specName}`);
  return { spec, usage };
}

function originOf(name: string): "soft" | "external" {
  if (name === "AWS_KMS") return "soft";
  if (name === "EXTERNAL") return "external";
  throw new AwsError("UnsupportedOperationException");
}

export const describeKey: DefinedOperation = defineOperation(
  "DescribeKey",
  { KeyId: required(keyId), GrantTokens: optional(grantTokens) },
  async ({ custody, caller, identity, keyOrAlias }, input) => {
    const key = await custody.keys.describe(caller, keyOrAlias(input.KeyId), { unlessDestroyed: true });
    return { KeyMetadata: keyMetadata(identity, key) };
  },
);

export const listKeys: DefinedOperation = defineOperation("ListKeys", page, async ({ custody, caller }, input) => {
  const keys = await custody.keys.page(caller, pageAsked(input, defaultPageLength));
  const more = moreAfter(keys, ({ keyId }) => keyId);
  return { Keys: keys.items.map((key) => ({ KeyId: key.keyId, KeyArn: key.arn })), ...more };
});

export const updateKeyDescription: DefinedOperation = defineOperation(
  "UpdateKeyDescription",
  { KeyId: required(keyId), Description: required(description) },
  async ({ custody, caller, key }, input) => {
    await custody.keys.updateDescription(caller, key(input.KeyId), input.Description);
    return undefined;
  },
);

export const enableKey: DefinedOperation = defineOperation(
  "EnableKey",
  { KeyId: required(keyId) },
  async ({ custody, caller, key }, input) => {
    await custody.keys.enable(caller, key(input.KeyId));
    return undefined;
  },
);

export const disableKey: DefinedOperation = defineOperation(
  "DisableKey",
  { KeyId: required(keyId) },
  async ({ custody, caller, key }, input) => {
    await custody.keys.disable(caller, key(input.KeyId));
    return undefined;
  },
);

export const scheduleKeyDeletion: DefinedOperation = defineOperation(
  "ScheduleKeyDeletion",
  { KeyId: required(keyId), PendingWindowInDays: optional({ kind: "integer", min: 7, max: 30 }) },
  async ({ custody, caller, key }, input) => {
    const days = input.PendingWindowInDays ?? defaultPendingDays;
    const scheduled = await custody.keys.scheduleDeletion(caller, key(input.KeyId), days);
    return {
      KeyId: scheduled.arn,
      DeletionDate: scheduled.deletionAt === null ? undefined : epochSeconds(scheduled.deletionAt),
      KeyState: awsKeyState(scheduled.state),
      PendingWindowInDays: days,
    };
  },
);

export const cancelKeyDeletion: DefinedOperation = defineOperation(
  "CancelKeyDeletion",
  { KeyId: required(keyId) },
  async ({ custody, caller, key }, input) => ({
    KeyId: (await custody.keys.cancelDeletion(caller, key(input.KeyId))).arn,
  }),
);
