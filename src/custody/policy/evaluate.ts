import { crossAccountActions } from "./actions.ts";
import { type Grant, grantAllows } from "./grant.ts";
import type { CompiledPolicy, CompiledStatement } from "./policy-document.ts";
import { namesPrincipal } from "./principal-element.ts";
import type { AuthorizationRequest } from "./request.ts";

/** The rules that bear on a request. */
export interface Rules {
  /** The policy of the key that the request is about; absent for requests about no key. */
  readonly keyPolicy?: CompiledPolicy | undefined;
  /** The policies attached to the principal, by its role or group. */
  readonly identityPolicies?: readonly CompiledPolicy[] | undefined;
  /** Grants on the key; those to other principals are passed over (`GrantIndex.of` gives the ones that matter). */
  readonly grants?: readonly Grant[] | undefined;
}

export interface Decision {
  readonly effect: "allow" | "deny";
  /** What decided. `default`: nothing allowed it. */
  readonly by: "explicit-deny" | "key-policy" | "identity-policy" | "grant" | "default";
  /** Sid, or place, of the statement that decided. */
  readonly statementId?: string;
  readonly grantId?: string;
}

const byDefault: Decision = { effect: "deny", by: "default" };

/**
 * Decides a request, by the order of AWS KMS ("Determining access to AWS KMS keys"):
 *
 * 1. A Deny that applies, in the key policy or an identity policy, decides: over every Allow and every grant.
 * 2. The key policy's Allow for the principal itself allows.
 * 3. The key policy's Allow for the principal's account lets its identity policies decide.
 * 4. A grant that fits allows.
 * 5. Nothing else does.
 *
 * Requests about no key are decided by identity policies alone. A request about a key whose policy is not given is denied
 * by default, unless a grant fits. A principal of another account needs both the key policy and an identity policy, and is
 * let into AWS's cross-account operations only. Pure: the time is the request's.
 *
 * @throws {TypeError} If `request.now` is not a time, or a policy is given in the other kind's place.
 */
export function decide(request: AuthorizationRequest, rules: Rules): Decision {
  if (Number.isNaN(request.now.getTime())) throw new TypeError("request.now is not a time");
  const { keyPolicy, identityPolicies = [], grants = [] } = rules;
  if (keyPolicy !== undefined && keyPolicy.kind !== "key") throw new TypeError("keyPolicy is not a key policy");
  if (identityPolicies.some((policy) => policy.kind !== "identity"))
    throw new TypeError("identityPolicies holds a key policy");

  const denied = findDeny(request, keyPolicy, identityPolicies);
  if (denied !== undefined) return { effect: "deny", by: "explicit-deny", statementId: denied.id };
  if (request.resource?.kind !== "key") return decideByIdentity(request, identityPolicies);

  const foreign = request.principal.account !== request.resource.account;
  if (foreign && !crossAccountActions.has(request.action)) return byDefault;
  if (keyPolicy !== undefined) {
    const decision = decideByPolicies(request, keyPolicy, identityPolicies, foreign);
    if (decision.effect === "allow") return decision;
  }
  const grant = grants.find((each) => grantAllows(each, request));
  return grant === undefined ? byDefault : { effect: "allow", by: "grant", grantId: grant.id };
}

function findDeny(
  request: AuthorizationRequest,
  keyPolicy: CompiledPolicy | undefined,
  identityPolicies: readonly CompiledPolicy[],
): CompiledStatement | undefined {
  const inKeyPolicy = keyPolicy?.denies.find((each) => concernsPrincipal(each, request) && applies(each, request));
  if (inKeyPolicy !== undefined) return inKeyPolicy;
  for (const policy of identityPolicies) {
    const found = policy.denies.find((each) => applies(each, request));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A Deny for an account concerns all its principals. NotPrincipal spares only those that it names one by one. */
function concernsPrincipal({ principals }: CompiledStatement, { principal }: AuthorizationRequest): boolean {
  if (principals === undefined) return true;
  if (principals.except) return !namesPrincipal(principals.set, principal);
  return namesPrincipal(principals.set, principal) || principals.set.accounts.has(principal.account);
}

function decideByPolicies(
  request: AuthorizationRequest,
  keyPolicy: CompiledPolicy,
  identityPolicies: readonly CompiledPolicy[],
  foreign: boolean,
): Decision {
  let delegated = false;
  for (const statement of keyPolicy.allows) {
    const set = statement.principals?.set;
    if (set === undefined) continue;
    const named = namesPrincipal(set, request.principal);
    if (!named && !set.accounts.has(request.principal.account)) continue;
    if (!applies(statement, request)) continue;
    if (named && !foreign) return { effect: "allow", by: "key-policy", statementId: statement.id };
    delegated = true;
  }
  return delegated ? decideByIdentity(request, identityPolicies) : byDefault;
}

function decideByIdentity(request: AuthorizationRequest, identityPolicies: readonly CompiledPolicy[]): Decision {
  for (const policy of identityPolicies) {
    const found = policy.allows.find((each) => applies(each, request));
    if (found !== undefined) return { effect: "allow", by: "identity-policy", statementId: found.id };
  }
  return byDefault;
}

/** Action, resource and every condition fit. */
function applies(statement: CompiledStatement, request: AuthorizationRequest): boolean {
  return (
    statement.actions.has(request.action) &&
    statement.coversResource(request.resource?.arn) &&
    statement.conditions.every((holds) => holds(request))
  );
}
