import { PolicyError } from "./errors.ts";
import { decide } from "./evaluate.ts";
import type { CompiledPolicy } from "./policy-document.ts";
import type { AuthorizationRequest } from "./request.ts";

/**
 * Would this caller, asking again in the same circumstances, be allowed `kms:PutKeyPolicy` under the new policy?
 *
 * Grants cannot hold PutKeyPolicy, so only policies count. A condition that holds now but not later (a date, an address) is
 * not looked through; AWS KMS's check does not either.
 *
 * @param request - The request that carries the new policy: `kms:PutKeyPolicy`, or `kms:CreateKey` with the key-to-be as
 *   its resource.
 */
export function keepsAccess(
  newPolicy: CompiledPolicy,
  request: AuthorizationRequest,
  identityPolicies: readonly CompiledPolicy[],
): boolean {
  const again: AuthorizationRequest = { ...request, action: "kms:PutKeyPolicy" };
  return decide(again, { keyPolicy: newPolicy, identityPolicies }).effect === "allow";
}

/**
 * The policy lock-out safety check of AWS KMS. Not called when the request asks to bypass it (who may ask so is for
 * `kms:BypassPolicyLockoutSafetyCheck` conditions).
 *
 * @throws {PolicyError} `POLICY_LOCKOUT`.
 */
export function checkKeepsAccess(
  newPolicy: CompiledPolicy,
  request: AuthorizationRequest,
  identityPolicies: readonly CompiledPolicy[],
): void {
  if (!keepsAccess(newPolicy, request, identityPolicies))
    throw new PolicyError(
      "POLICY_LOCKOUT",
      `the new key policy will not allow ${request.principal.arn} to change it again; allow it kms:PutKeyPolicy`,
    );
}

/** The key policy of a key that was created without one: the account's identity policies decide. */
export function defaultKeyPolicy(account: string): string {
  return JSON.stringify(
    {
      Version: "2012-10-17",
      Id: "key-default-1",
      Statement: [
        {
          Sid: "Enable IAM User Permissions",
          Effect: "Allow",
          Principal: { AWS: `arn:aws:iam::${account}:root` },
          Action: "kms:*",
          Resource: "*",
        },
      ],
    },
    null,
    2,
  );
}
