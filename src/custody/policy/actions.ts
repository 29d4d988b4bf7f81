import { compilePattern, tokensOf } from "./wildcard.ts";

/** Actions of AWS KMS, as the service authorization reference names them. `ReEncrypt` is checked as From and To. */
const kmsActions = [
  "CancelKeyDeletion",
  "ConnectCustomKeyStore",
  "CreateAlias",
  "CreateCustomKeyStore",
  "CreateGrant",
  "CreateKey",
  "Decrypt",
  "DeleteAlias",
  "DeleteCustomKeyStore",
  "DeleteImportedKeyMaterial",
  "DeriveSharedSecret",
  "DescribeCustomKeyStores",
  "DescribeKey",
  "DisableKey",
  "DisableKeyRotation",
  "DisconnectCustomKeyStore",
  "EnableKey",
  "EnableKeyRotation",
  "Encrypt",
  "GenerateDataKey",
  "GenerateDataKeyPair",
  "GenerateDataKeyPairWithoutPlaintext",
  "GenerateDataKeyWithoutPlaintext",
  "GenerateMac",
  "GenerateRandom",
  "GetKeyLastUsage",
  "GetKeyPolicy",
  "GetKeyRotationStatus",
  "GetParametersForImport",
  "GetPublicKey",
  "ImportKeyMaterial",
  "ListAliases",
  "ListGrants",
  "ListKeyPolicies",
  "ListKeyRotations",
  "ListKeys",
  "ListResourceTags",
  "ListRetirableGrants",
  "PutKeyPolicy",
  "ReEncryptFrom",
  "ReEncryptTo",
  "ReplicateKey",
  "RetireGrant",
  "RevokeGrant",
  "RotateKeyOnDemand",
  "ScheduleKeyDeletion",
  "Sign",
  "SynchronizeMultiRegionKey",
  "TagResource",
  "UntagResource",
  "UpdateAlias",
  "UpdateCustomKeyStore",
  "UpdateKeyDescription",
  "UpdatePrimaryRegion",
  "Verify",
  "VerifyMac",
] as const;

/** What Strongroom does beyond AWS KMS. There is no action that alters or erases an audit record. */
const strongroomActions = [
  "Checkpoint",
  "CreateIntegration",
  "CreatePrincipal",
  "DeleteIntegration",
  "DisablePrincipal",
  "EnablePrincipal",
  "EnrollNode",
  "ForgetEnclave",
  "LegacyDecrypt",
  "LegacyEncrypt",
  "LegacyList",
  "LegacyRegister",
  "ListCounters",
  "ListDevices",
  "ListEnclaves",
  "ListIntegrations",
  "ListNodes",
  "ListPrincipals",
  "ManageSlots",
  "ReadAudit",
  "ReadState",
  "ResetCounter",
  "RevokeNode",
  "RotateAccessKey",
  "SetGroupPolicies",
  "SetUserGroups",
  "TrustDevices",
  "UseDevice",
  "UseIntegration",
  "VerifyAudit",
] as const;

/** Actions of AWS IAM: the listings that AWS's own KMS policies name beside `kms:*`, and what users and groups take. */
const iamActions = [
  "CreateAccessKey",
  "CreateGroup",
  "CreateUser",
  "DeleteAccessKey",
  "DeleteGroup",
  "DeleteUser",
  "ListGroups",
  "ListRoles",
  "ListUsers",
  "UpdateAccessKey",
] as const;

export type KmsActionName = (typeof kmsActions)[number];
export type ActionName =
  | `kms:${KmsActionName}`
  | `strongroom:${(typeof strongroomActions)[number]}`
  | `iam:${(typeof iamActions)[number]}`;

/** The closed list of actions: what a request may ask for, and what a pattern in a policy can stand for. */
export const actions: readonly ActionName[] = [
  ...kmsActions.map((name) => `kms:${name}` as const),
  ...strongroomActions.map((name) => `strongroom:${name}` as const),
  ...iamActions.map((name) => `iam:${name}` as const),
];

/** Actions that a principal of another account may be let into; all others stay within the key's account (AWS KMS). */
export const crossAccountActions: ReadonlySet<ActionName> = new Set<ActionName>([
  "kms:CreateGrant",
  "kms:Decrypt",
  "kms:DeriveSharedSecret",
  "kms:DescribeKey",
  "kms:Encrypt",
  "kms:GenerateDataKey",
  "kms:GenerateDataKeyPair",
  "kms:GenerateDataKeyPairWithoutPlaintext",
  "kms:GenerateDataKeyWithoutPlaintext",
  "kms:GenerateMac",
  "kms:GetKeyRotationStatus",
  "kms:GetPublicKey",
  "kms:ListGrants",
  "kms:ReEncryptFrom",
  "kms:ReEncryptTo",
  "kms:RetireGrant",
  "kms:RevokeGrant",
  "kms:Sign",
  "kms:Verify",
  "kms:VerifyMac",
]);

const foldedActions: readonly (readonly [string, ActionName])[] = actions.map((name) => [name.toLowerCase(), name]);

/** The actions a pattern such as `kms:Generate*` stands for; upper and lower case are the same, as in IAM. */
export function expandAction(pattern: string): readonly ActionName[] {
  const matches = compilePattern(tokensOf(pattern.toLowerCase()));
  return foldedActions.filter(([folded]) => matches(folded)).map(([, name]) => name);
}
