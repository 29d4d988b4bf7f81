import { type DefinedOperation, defineOperation } from "../define.ts";
import { AwsError } from "../errors.ts";
import { flag, keyId, policy, policyName } from "../members.ts";
import { page, pageOf } from "../pagination.ts";
import { optional, required } from "../shape.ts";

/** The one policy that a key has. */
const onlyPolicyName = "default";
const defaultPageLength = 100;

export const getKeyPolicy: DefinedOperation = defineOperation(
  "GetKeyPolicy",
  { KeyId: required(keyId), PolicyName: optional(policyName) },
  async ({ custody, caller, key }, input) => {
    const reference = key(input.KeyId);
    mustBeDefault(input.PolicyName);
    return { Policy: await custody.policies.get(caller, reference), PolicyName: onlyPolicyName };
  },
);

export const putKeyPolicy: DefinedOperation = defineOperation(
  "PutKeyPolicy",
  {
    KeyId: required(keyId),
    PolicyName: optional(policyName),
    Policy: required(policy),
    BypassPolicyLockoutSafetyCheck: optional(flag),
  },
  async ({ custody, caller, key }, input) => {
    const reference = key(input.KeyId);
    mustBeDefault(input.PolicyName);
    await custody.policies.put(caller, reference, input.Policy, {
      bypassLockoutCheck: input.BypassPolicyLockoutSafetyCheck ?? false,
    });
    return undefined;
  },
);

export const listKeyPolicies: DefinedOperation = defineOperation(
  "ListKeyPolicies",
  { KeyId: required(keyId), ...page },
  async ({ custody, caller, key }, input) => {
    const names = await custody.policies.list(caller, key(input.KeyId));
    const { items, more } = pageOf(names, input, (name) => name, defaultPageLength);
    return { PolicyNames: items, ...more };
  },
);

function mustBeDefault(name: string | undefined): void {
  if (name !== undefined && name !== onlyPolicyName) throw new AwsError("NotFoundException", "No such policy exists");
}
