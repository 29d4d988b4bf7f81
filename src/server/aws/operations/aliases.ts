import { aliasArn } from "../../../custody/arn.ts";
import { CustodyError } from "../../../custody/errors.ts";
import type { CustodyIdentity } from "../../../custody/service.ts";
import { type DefinedOperation, defineOperation } from "../define.ts";
import { AwsError } from "../errors.ts";
import { aliasNameOf, notFound } from "../identifiers.ts";
import { aliasName, keyId } from "../members.ts";
import { page, pageOf } from "../pagination.ts";
import { optional, required } from "../shape.ts";
import { epochSeconds } from "../vocabulary.ts";

const defaultPageLength = 50;

export const createAlias: DefinedOperation = defineOperation(
  "CreateAlias",
  { AliasName: required(aliasName), TargetKeyId: required(keyId) },
  async ({ custody, caller, identity, key }, input) => {
    const alias = aliasNameOf(input.AliasName);
    await named(identity, alias, custody.aliases.create(caller, alias, key(input.TargetKeyId)));
    return undefined;
  },
);

export const updateAlias: DefinedOperation = defineOperation(
  "UpdateAlias",
  { AliasName: required(aliasName), TargetKeyId: required(keyId) },
  async ({ custody, caller, identity, key }, input) => {
    const alias = aliasNameOf(input.AliasName);
    await named(identity, alias, custody.aliases.update(caller, alias, key(input.TargetKeyId)));
    return undefined;
  },
);

export const deleteAlias: DefinedOperation = defineOperation(
  "DeleteAlias",
  { AliasName: required(aliasName) },
  async ({ custody, caller, identity }, input) => {
    const alias = aliasNameOf(input.AliasName);
    await named(identity, alias, custody.aliases.delete(caller, alias));
    return undefined;
  },
);

export const listAliases: DefinedOperation = defineOperation(
  "ListAliases",
  { KeyId: optional(keyId), ...page },
  async ({ custody, caller, identity, key }, input) => {
    const aliases = await custody.aliases.list(caller, input.KeyId === undefined ? undefined : key(input.KeyId));
    const { items, more } = pageOf(aliases, input, (each) => each.alias, defaultPageLength);
    return {
      Aliases: items.map((each) => ({
        AliasName: each.alias,
        AliasArn: aliasArn(identity, each.alias),
        TargetKeyId: each.keyId,
        CreationDate: each.createdAt === null ? undefined : epochSeconds(each.createdAt),
        LastUpdatedDate: each.updatedAt === null ? undefined : epochSeconds(each.updatedAt),
      })),
      ...more,
    };
  },
);

/** Failures that are about the alias itself name its ARN. */
async function named(identity: CustodyIdentity, alias: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (cause) {
    if (cause instanceof CustodyError && cause.code === "ALIAS_NOT_FOUND") throw notFound(identity, alias, cause);
    if (cause instanceof CustodyError && cause.code === "ALIAS_EXISTS")
      throw new AwsError(
        "AlreadyExistsException",
        `An alias with the name ${aliasArn(identity, alias)} already exists`,
        { cause },
      );
    throw cause;
  }
}
