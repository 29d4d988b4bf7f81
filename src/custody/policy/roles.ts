import type { RoleName } from "../service.ts";
import { type CompiledPolicy, parsePolicy } from "./policy-document.ts";

interface Statement {
  readonly Sid: string;
  readonly Effect: "Allow" | "Deny";
  readonly Action?: readonly string[];
  readonly NotAction?: readonly string[];
  readonly Resource: "*";
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

/** Everything that makes, opens or uses secrets with a key. */
const keyUse = [
  "kms:Decrypt",
  "kms:DeriveSharedSecret",
  "kms:Encrypt",
  "kms:GenerateDataKey*",
  "kms:GenerateMac",
  "kms:ReEncrypt*",
  "kms:Sign",
  "kms:Verify",
  "kms:VerifyMac",
  "strongroom:LegacyDecrypt",
] as const;

const reading = [
  "kms:Describe*",
  "kms:GetKeyLastUsage",
  "kms:GetKeyPolicy",
  "kms:GetKeyRotationStatus",
  "kms:GetPublicKey",
  "kms:List*",
  "strongroom:Checkpoint",
  "strongroom:LegacyList",
  "strongroom:ListCounters",
  "strongroom:ListEnclaves",
  "strongroom:ListNodes",
  "strongroom:ListPrincipals",
  "strongroom:ReadAudit",
  "strongroom:ReadState",
  "strongroom:VerifyAudit",
  "iam:List*",
] as const;

/** Manages everything and uses nothing: the Deny holds against key policies and grants that would let it use a key. */
const administrator: readonly Statement[] = [
  { Sid: "ManageEverything", Effect: "Allow", NotAction: keyUse, Resource: "*" },
  { Sid: "UseNoKey", Effect: "Deny", Action: keyUse, Resource: "*" },
];

/** Reads everything and changes nothing, whatever a key policy or a grant may say. */
const auditor: readonly Statement[] = [
  { Sid: "ReadEverything", Effect: "Allow", Action: reading, Resource: "*" },
  { Sid: "ChangeNothing", Effect: "Deny", NotAction: reading, Resource: "*" },
];

/**
 * Enrols nodes, and serves FISCO operators' calls. A grant that it makes for a node is for contexts that carry that node's
 * own name: with any other context, an operator's own node could open what is bound to another.
 */
const operator: readonly Statement[] = [
  {
    Sid: "LegacyCalls",
    Effect: "Allow",
    Action: ["strongroom:LegacyEncrypt", "strongroom:LegacyRegister", "strongroom:LegacyList"],
    Resource: "*",
  },
  {
    Sid: "EnrolNodes",
    Effect: "Allow",
    Action: ["strongroom:EnrollNode", "strongroom:ListNodes", "kms:DescribeKey", "kms:ListKeys", "kms:ListAliases"],
    Resource: "*",
  },
  {
    Sid: "GrantToNodesUnderTheirOwnName",
    Effect: "Allow",
    Action: ["kms:CreateGrant"],
    Resource: "*",
    Condition: {
      ArnLike: { "kms:GranteePrincipal": "arn:*:*:*:*:node/*" },
      StringEquals: {
        "kms:GrantConstraintType": ["EncryptionContextEquals", "EncryptionContextSubset"],
        // biome-ignore lint/suspicious/noTemplateCurlyInString: a policy variable, resolved at each request.
        "kms:EncryptionContext:node": "${strongroom:GranteeName}",
      },
      // Names of condition keys fold case; a grant's constraint and a box's context do not.
      "ForAnyValue:StringEquals": { "kms:EncryptionContextKeys": "node" },
      "ForAllValues:StringEquals": {
        "kms:GrantOperations": [
          "Decrypt",
          "DescribeKey",
          "Encrypt",
          "GenerateDataKey",
          "GenerateDataKeyWithoutPlaintext",
          "ReEncryptFrom",
          "ReEncryptTo",
        ],
      },
    },
  },
];

/** Uses keys whose key policy lets identity policies decide. */
const keyUser: readonly Statement[] = [
  {
    Sid: "UseKeys",
    Effect: "Allow",
    Action: [
      "kms:Decrypt",
      "kms:DescribeKey",
      "kms:Encrypt",
      "kms:GenerateDataKey*",
      "kms:GenerateMac",
      "kms:GenerateRandom",
      "kms:GetPublicKey",
      "kms:ReEncrypt*",
      "kms:Sign",
      "kms:Verify",
      "kms:VerifyMac",
    ],
    Resource: "*",
  },
];

/** What the FISCO door does for nodes that cannot say who they are. Custody opens registered cipherDataKeys only. */
const fiscoDoor: readonly Statement[] = [
  { Sid: "OpenRegisteredDataKeys", Effect: "Allow", Action: ["strongroom:LegacyDecrypt"], Resource: "*" },
];

function documentOf(statements: readonly Statement[]): string {
  return JSON.stringify({ Version: "2012-10-17", Statement: statements }, null, 2);
}

/** The identity policies of each role, as AWS policy JSON. A node has none: it works by grants alone. */
export const rolePolicies: Readonly<Record<RoleName, readonly string[]>> = {
  administrator: [documentOf(administrator)],
  auditor: [documentOf(auditor)],
  operator: [documentOf(operator)],
  "key-user": [documentOf(keyUser)],
  "fisco-door": [documentOf(fiscoDoor)],
  node: [],
  none: [],
};

/** Policies that AWS manages and documents name, to be attached to groups. */
export const managedPolicies = {
  AWSKeyManagementServicePowerUser: JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Action: [
          "kms:CreateAlias",
          "kms:CreateKey",
          "kms:DeleteAlias",
          "kms:Describe*",
          "kms:GenerateRandom",
          "kms:Get*",
          "kms:List*",
          "kms:TagResource",
          "kms:UntagResource",
          "iam:ListGroups",
          "iam:ListRoles",
          "iam:ListUsers",
        ],
        Resource: "*",
      },
    ],
  }),
} as const;

export type ManagedPolicyName = keyof typeof managedPolicies;

const compiled = new Map<RoleName, readonly CompiledPolicy[]>();

/** The compiled identity policies of a role; compiled at the first call. */
export function policiesOfRole(role: RoleName): readonly CompiledPolicy[] {
  const known = compiled.get(role) ?? rolePolicies[role].map((document) => parsePolicy(document, "identity"));
  compiled.set(role, known);
  return known;
}

const compiledManaged = new Map<ManagedPolicyName, CompiledPolicy>();

/** A managed policy, compiled at the first call. */
export function policyOfName(name: ManagedPolicyName): CompiledPolicy {
  return compiledManaged.getOrInsertComputed(name, () => parsePolicy(managedPolicies[name], "identity"));
}
