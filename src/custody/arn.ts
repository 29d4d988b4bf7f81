import type { CustodyIdentity, PrincipalKind } from "./service.ts";

/**
 * Names as AWS writes them, so that policies, tools and nodes that know AWS need nothing new. Users and services have
 * the forms of IAM; `node` is Strongroom's own resource type.
 */
type Account = Pick<CustodyIdentity, "account" | "region">;

export function keyArn({ account, region }: Account, keyId: string): string {
  return `arn:aws:kms:${region}:${account}:key/${keyId}`;
}

/** `alias` with its `alias/` in front. */
export function aliasArn({ account, region }: Account, alias: string): string {
  return `arn:aws:kms:${region}:${account}:${alias}`;
}

export function principalArn({ account }: Pick<Account, "account">, kind: PrincipalKind, name: string): string {
  return `arn:aws:iam::${account}:${kind}/${name}`;
}

export function groupArn({ account }: Pick<Account, "account">, name: string): string {
  return `arn:aws:iam::${account}:group/${name}`;
}

/** An integration with an upstream KMS: Strongroom's own resource type, beside the account's keys. */
export function integrationArn({ account, region }: Account, name: string): string {
  return `arn:aws:kms:${region}:${account}:integration/${name}`;
}

/** The account itself: a key policy that allows it lets identity policies decide. */
export function accountRootArn({ account }: Pick<Account, "account">): string {
  return `arn:aws:iam::${account}:root`;
}
