import type { Context } from "../crypto/context.ts";
import { integrationArn, keyArn, principalArn } from "./arn.ts";
import { CustodyError, type DenialReason } from "./errors.ts";
import type { ActionName } from "./policy/actions.ts";
import { PolicyError } from "./policy/errors.ts";
import { type Decision, decide } from "./policy/evaluate.ts";
import type { Grant } from "./policy/grant.ts";
import { GrantIndex } from "./policy/grant-index.ts";
import { keyFacts } from "./policy/key-facts.ts";
import { checkKeepsAccess, defaultKeyPolicy } from "./policy/lockout.ts";
import { type CompiledPolicy, parsePolicy } from "./policy/policy-document.ts";
import type { AuthorizationRequest, KeyResource, OtherResource, RequestedGrant, Tags } from "./policy/request.ts";
import { policiesOfRole, policyOfName } from "./policy/roles.ts";
import type { Caller, CustodyIdentity, PrincipalKind } from "./service.ts";
import type { KeyRecord, PrincipalRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";

/** Facts of a request that conditions may ask about. */
export interface AuthorizationFacts {
  readonly pendingDays?: number;
  readonly bypassLockoutCheck?: boolean;
  readonly grant?: RequestedGrant;
  readonly reEncryptOnSameKey?: boolean;
  readonly requestTags?: Tags;
  /** Tag names of a request that carries no values. */
  readonly tagKeys?: readonly string[];
  /** Spec, usage and origin of a key that is to be made, as policies name them. */
  readonly newKey?: Pick<KeyResource, "spec" | "usage" | "origin">;
}

export interface Question {
  readonly caller: Caller;
  readonly action: ActionName;
  readonly now: Date;
  readonly key?: KeyRecord;
  /** Name of the integration that the request is about, whether there is one of that name or not. */
  readonly integration?: string;
  readonly context?: Context;
  /** The alias by which the request named the key: `alias/NAME`. */
  readonly requestAlias?: string;
  readonly facts?: AuthorizationFacts;
}

const typeNames: Readonly<Record<PrincipalKind, string>> = { user: "User", node: "Node", service: "Service" };
/** Doors that take nothing but TLS, or what does not leave the machine. */
const secureDoors: ReadonlySet<Caller["door"]> = new Set<Caller["door"]>(["native", "console", "local"]);
const principalKinds = Object.keys(typeNames) as PrincipalKind[];

/**
 * Puts requests to the policy engine with the state's own policies, grants and principals. Default deny: a caller that is
 * no enabled principal is refused whatever a policy says.
 */
export class Authorizer {
  readonly #identity: CustodyIdentity;
  readonly #state: State;
  readonly #aliasesOf: (keyId: string) => readonly string[];
  readonly #grants = new GrantIndex();
  readonly #principals = new Map<string, PrincipalRecord>();
  readonly #keyPolicies = new WeakMap<KeyRecord, CompiledPolicy>();

  constructor(state: State, identity: CustodyIdentity, aliasesOf: (keyId: string) => readonly string[]) {
    this.#identity = identity;
    this.#state = state;
    this.#aliasesOf = aliasesOf;
    for (const [, grant] of state.all("grant")) this.#grants.add(grant);
    for (const [, principal] of state.all("principal")) this.#index(principal);
    state.onChange((change) => {
      if (change.kind === "grant") {
        if (change.record === null) this.#grants.remove(change.id);
        else this.#grants.add(change.record as Grant);
      }
      if (change.kind === "principal") {
        this.#forget(change.id);
        if (change.record !== null) this.#index(change.record as PrincipalRecord);
      }
    });
  }

  /** The policy of a key that is created without one. */
  get defaultKeyPolicy(): string {
    return defaultKeyPolicy(this.#identity.account);
  }

  /**
   * @throws {CustodyError} `ACCESS_DENIED`: one answer, whatever denied it. What did is in the error's facts, for the audit
   *   record.
   */
  check(question: Question): Decision {
    const decision = this.decide(question);
    if (decision.effect === "deny") throw deniedBy(decision, question);
    return decision;
  }

  /**
   * What policies and grants say, for an operation that has a rule of its own beside them.
   *
   * @throws {CustodyError} `ACCESS_DENIED` for a caller that is no enabled principal.
   */
  decide(question: Question): Decision {
    const principal = this.#principalOf(question);
    const { key } = question;
    return decide(this.#request(question, principal), {
      keyPolicy: key === undefined ? undefined : this.#policyOf(key),
      identityPolicies: this.#identityPoliciesOf(principal),
      grants: key === undefined ? [] : this.#grants.of(key.id, question.caller.principal),
    });
  }

  /**
   * Checks a key policy that is about to be stored: its grammar, that its principals exist here, and (unless bypassed) that
   * its author can change it again. Returns the document as it is to be stored.
   *
   * @throws {CustodyError} `INPUT_INVALID`.
   */
  checkKeyPolicy(
    document: string,
    key: KeyRecord,
    caller: Caller,
    now: Date,
    options: { readonly bypassLockoutCheck?: boolean } = {},
  ): string {
    return asInput(() => {
      const policy = parsePolicy(document, "key");
      const unknown = policy.principalArns.find((arn) => this.#isLocal(arn) && !this.#principals.has(arn));
      if (unknown !== undefined)
        throw new CustodyError("INPUT_INVALID", `the policy names ${unknown}, which is no principal here`);
      const principal = this.#principalOf({ caller, action: "kms:PutKeyPolicy", key });
      if (!options.bypassLockoutCheck)
        checkKeepsAccess(
          policy,
          this.#request({ caller, action: "kms:PutKeyPolicy", now, key }, principal),
          this.#identityPoliciesOf(principal),
        );
      return document;
    });
  }

  /** The grants of the state, to look up; who may read of them is asked apart. */
  get grants(): Omit<GrantIndex, "add" | "remove"> {
    return this.#grants;
  }

  /** All grants on a key, in the order in which they were made. */
  grantsOn(keyId: string): readonly Grant[] {
    return this.#grants.onKey(keyId).toSorted(byAge);
  }

  /** Ids of the grants that end with these: they, and those that were made by right of them. */
  endingWith(grantIds: Iterable<string>): ReadonlySet<string> {
    return this.#grants.withDescendants(grantIds);
  }

  #principalOf(question: Omit<Question, "now">): PrincipalRecord {
    const principal = this.#principals.get(question.caller.principal);
    if (principal === undefined) throw denied(question, "principal-unknown");
    if (principal.state !== "enabled") throw denied(question, "principal-disabled");
    if (!this.#accessKeyHolds(question.caller, principal)) throw denied(question, "access-key-disabled");
    return principal;
  }

  /** Asked at each decision: a key may have ended since the door checked the signature. */
  #accessKeyHolds({ accessKeyId }: Caller, { name }: PrincipalRecord): boolean {
    if (accessKeyId === undefined) return true;
    const key = this.#state.get("accessKey", accessKeyId);
    return key?.state === "enabled" && key.user === name;
  }

  /** Those of its role, and the managed policies of its groups. A group that is gone brings none. */
  #identityPoliciesOf({ role, groups }: PrincipalRecord): readonly CompiledPolicy[] {
    const ofRole = policiesOfRole(role);
    if (groups.length === 0) return ofRole;
    const names = new Set(groups.flatMap((group) => this.#state.get("group", group)?.policies ?? []));
    return [...ofRole, ...[...names].map(policyOfName)];
  }

  #request(
    { caller, action, now, key, integration, context, requestAlias, facts }: Question,
    principal: PrincipalRecord,
  ): AuthorizationRequest {
    return {
      principal: { arn: caller.principal, account: this.#identity.account, type: typeNames[principal.kind] },
      action,
      resource: key === undefined ? this.#otherResource(integration) : this.#resourceOf(key),
      context,
      sourceIp: caller.peer.startsWith("unix:") || caller.peer === "local" ? undefined : caller.peer,
      secureTransport: caller.secureTransport ?? secureDoors.has(caller.door),
      now,
      requestAlias,
      grant: facts?.grant,
      reEncryptOnSameKey: facts?.reEncryptOnSameKey,
      pendingWindowDays: facts?.pendingDays,
      bypassLockoutCheck: facts?.bypassLockoutCheck,
      requestTags: facts?.requestTags,
      tagKeys: facts?.tagKeys,
      newKey: facts?.newKey,
    };
  }

  #resourceOf(key: KeyRecord): KeyResource {
    return {
      kind: "key",
      keyId: key.id,
      arn: keyArn(this.#identity, key.id),
      account: this.#identity.account,
      aliases: this.#aliasesOf(key.id),
      tags: key.tags,
      ...keyFacts(key),
    };
  }

  #otherResource(integration: string | undefined): OtherResource | undefined {
    if (integration === undefined) return undefined;
    return { kind: "other", arn: integrationArn(this.#identity, integration), account: this.#identity.account };
  }

  /** Key records are never changed in place, so a record's compiled policy stays true. */
  #policyOf(key: KeyRecord): CompiledPolicy {
    const known = this.#keyPolicies.get(key);
    if (known !== undefined) return known;
    const policy = parsePolicy(key.policy, "key");
    this.#keyPolicies.set(key, policy);
    return policy;
  }

  #index(principal: PrincipalRecord): void {
    this.#principals.set(principalArn(this.#identity, principal.kind, principal.name), principal);
  }

  #forget(name: string): void {
    for (const kind of principalKinds) this.#principals.delete(principalArn(this.#identity, kind, name));
  }

  #isLocal(arn: string): boolean {
    return arn.startsWith(`arn:aws:iam::${this.#identity.account}:`) && !arn.endsWith(":root");
  }
}

/** Turns the policy engine's complaint about a document or grant into custody's. */
export function asInput<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof PolicyError) throw new CustodyError("INPUT_INVALID", error.message, error);
    throw error;
  }
}

/** The refusal of a request that was decided against. */
export function deniedBy({ by, statementId }: Decision, question: Omit<Question, "now">): CustodyError {
  const error = denied(question, by === "explicit-deny" ? by : "nothing-allows");
  return statementId === undefined ? error : error.about({ statement: statementId });
}

function denied({ caller, action, key }: Omit<Question, "now">, reason: DenialReason): CustodyError {
  return new CustodyError(
    "ACCESS_DENIED",
    `${caller.principal} may not ${action}${key === undefined ? "" : ` with key ${key.id}`}`,
    undefined,
    { action, deniedBy: reason, ...(key === undefined ? {} : { keyId: key.id }) },
  );
}

function byAge(left: Grant, right: Grant): number {
  return left.createdAt < right.createdAt ? -1 : left.createdAt > right.createdAt ? 1 : left.id < right.id ? -1 : 1;
}
