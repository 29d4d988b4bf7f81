import type { GrantOperation } from "../../../src/custody/policy/grant.ts";
import type { Caller, CreateKeyInput } from "../../../src/custody/service.ts";
import type { TestKeyManager } from "./key-manager.ts";

let users = 0;

/** A new key, and a user who may do just these operations with it. */
export async function keyForUser(
  km: TestKeyManager,
  input: CreateKeyInput,
  operations: readonly GrantOperation[],
): Promise<{ readonly keyId: string; readonly user: Caller }> {
  const { keyId } = await km.custody.keys.create(km.admin, input);
  users += 1;
  const name = `granted-${users}`;
  const { arn } = await km.custody.principals.create(km.admin, { name, kind: "service", role: "operator" });
  await km.custody.grants.create(km.admin, keyId, { grantee: arn, operations });
  return { keyId, user: km.as(arn) };
}
