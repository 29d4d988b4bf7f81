import { accountRootArn, keyArn } from "../../../custody/arn.ts";
import { CustodyError } from "../../../custody/errors.ts";
import type { Grant, GrantConstraints } from "../../../custody/policy/grant.ts";
import type { CustodyIdentity } from "../../../custody/service.ts";
import { type DefinedOperation, defineOperation } from "../define.ts";
import { AwsError } from "../errors.ts";
import { grantIdOf, grantTokenOf } from "../grant-token.ts";
import { encryptionContext, flag, grantId, grantToken, grantTokens, keyId, principalId } from "../members.ts";
import type { JsonObject } from "../operation.ts";
import { moreAfter, page, pageAsked, pageOf } from "../pagination.ts";
import { optional, required } from "../shape.ts";
import { epochSeconds } from "../vocabulary.ts";

const operation = {
  kind: "string",
  values: [
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
    "Sign",
    "Verify",
    "GetPublicKey",
    "CreateGrant",
    "RetireGrant",
    "DescribeKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "VerifyMac",
    "DeriveSharedSecret",
  ],
} as const;
const constraints = {
  kind: "structure",
  members: {
    EncryptionContextSubset: optional(encryptionContext),
    EncryptionContextEquals: optional(encryptionContext),
  },
} as const;
const defaultPageLength = 50;

export const createGrant: DefinedOperation = defineOperation(
  "CreateGrant",
  {
    KeyId: required(keyId),
    GranteePrincipal: required(principalId),
    RetiringPrincipal: optional(principalId),
    Operations: required({ kind: "list", of: operation, max: operation.values.length }),
    Constraints: optional(constraints),
    GrantTokens: optional(grantTokens),
    Name: optional({ kind: "string", min: 1, max: 256, pattern: /^[a-zA-Z0-9:/_-]+$/ }),
    DryRun: optional(flag),
  },
  async ({ custody, caller, key }, input) => {
    const reference = key(input.KeyId);
    const bound = input.Constraints === undefined ? undefined : constraintsOf(input.Constraints);
    const grant = await custody.grants.create(caller, reference, {
      grantee: input.GranteePrincipal,
      operations: input.Operations,
      ...(input.RetiringPrincipal === undefined ? {} : { retiring: input.RetiringPrincipal }),
      ...(bound === undefined ? {} : { constraints: bound }),
      ...(input.Name === undefined ? {} : { name: input.Name }),
    });
    return { GrantId: grant.id, GrantToken: grantTokenOf(grant.id) };
  },
);

function constraintsOf(given: {
  readonly EncryptionContextSubset?: Readonly<Record<string, string>> | undefined;
  readonly EncryptionContextEquals?: Readonly<Record<string, string>> | undefined;
}): GrantConstraints | undefined {
  const { EncryptionContextSubset: subset, EncryptionContextEquals: equals } = given;
  if (subset === undefined && equals === undefined) return undefined;
  return {
    ...(subset === undefined ? {} : { encryptionContextSubset: subset }),
    ...(equals === undefined ? {} : { encryptionContextEquals: equals }),
  };
}

export const listGrants: DefinedOperation = defineOperation(
  "ListGrants",
  { KeyId: required(keyId), GrantId: optional(grantId), GranteePrincipal: optional(principalId), ...page },
  async ({ custody, caller, identity, key }, input) => {
    const { GrantId, GranteePrincipal } = input;
    const grants = await custody.grants.page(caller, key(input.KeyId), {
      ...pageAsked(input, defaultPageLength),
      ...(GrantId === undefined ? {} : { grantId: GrantId }),
      ...(GranteePrincipal === undefined ? {} : { grantee: GranteePrincipal }),
    });
    return {
      Grants: grants.items.map((grant) => grantEntry(identity, grant)),
      ...moreAfter(grants, ({ id }) => id),
    };
  },
);

export const listRetirableGrants: DefinedOperation = defineOperation(
  "ListRetirableGrants",
  { RetiringPrincipal: required(principalId), ...page },
  async ({ custody, caller, identity }, input) => {
    const grants = await custody.grants.listRetirable(caller, input.RetiringPrincipal);
    const { items, more } = pageOf(grants, input, ({ id }) => id, defaultPageLength);
    return { Grants: items.map((grant) => grantEntry(identity, grant)), ...more };
  },
);

export const revokeGrant: DefinedOperation = defineOperation(
  "RevokeGrant",
  { KeyId: required(keyId), GrantId: required(grantId), DryRun: optional(flag) },
  async ({ custody, caller, key }, input) => {
    await ofGrant(input.GrantId, custody.grants.revoke(caller, key(input.KeyId), input.GrantId));
    return undefined;
  },
);

export const retireGrant: DefinedOperation = defineOperation(
  "RetireGrant",
  {
    GrantToken: optional(grantToken),
    KeyId: optional(keyId),
    GrantId: optional(grantId),
    DryRun: optional(flag),
  },
  async ({ custody, caller, key }, input) => {
    const { GrantToken: token, KeyId: name, GrantId: id } = input;
    if (token !== undefined && name === undefined && id === undefined) {
      const named = grantIdOf(token);
      if (named === undefined) throw new AwsError("InvalidGrantTokenException");
      await ofGrant(named, custody.grants.retire(caller, null, named));
    } else if (token === undefined && name !== undefined && id !== undefined)
      await ofGrant(id, custody.grants.retire(caller, key(name), id));
    else
      throw new AwsError(
        "ValidationException",
        "Grant token OR (grant ID, KMS key ID) pair must be specified, not both",
      );
    return undefined;
  },
);

function grantEntry(identity: CustodyIdentity, grant: Grant): JsonObject {
  const { encryptionContextEquals: equals, encryptionContextSubset: subset } = grant.constraints ?? {};
  return {
    KeyId: keyArn(identity, grant.keyId),
    GrantId: grant.id,
    Name: grant.name,
    CreationDate: epochSeconds(grant.createdAt),
    GranteePrincipal: grant.grantee,
    RetiringPrincipal: grant.retiring,
    IssuingAccount: accountRootArn(identity),
    Operations: grant.operations,
    Constraints:
      grant.constraints === undefined
        ? undefined
        : { EncryptionContextEquals: equals, EncryptionContextSubset: subset },
  };
}

async function ofGrant(id: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (cause) {
    if (cause instanceof CustodyError && cause.code === "GRANT_NOT_FOUND")
      throw new AwsError("NotFoundException", `Grant ID ${id} not found`, { cause });
    throw cause;
  }
}
