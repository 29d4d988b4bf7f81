import { principalArn } from "../arn.ts";
import { type AccountSubject, type Core, performOnAccount } from "../core.ts";
import { CustodyError, type DenialReason } from "../errors.ts";
import { checkPrincipalName } from "../names.ts";
import type { ActionName } from "../policy/actions.ts";
import type { Caller, PrincipalDescription, PrincipalKind, PrincipalOperations, RoleName } from "../service.ts";
import { change, type PrincipalRecord, type StateChange } from "../state/records.ts";

const rolesOf: Readonly<Record<PrincipalKind, readonly RoleName[]>> = {
  user: ["administrator", "auditor", "operator", "key-user"],
  service: ["key-user", "operator", "fisco-door"],
  node: ["node"],
};

/** Who may call: users, services and nodes, each with one role. */
export class Principals implements PrincipalOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async create(
    caller: Caller,
    input: { name: string; kind: PrincipalKind; role: RoleName },
  ): Promise<PrincipalDescription> {
    const name = checkPrincipalName(input.name);
    if (!rolesOf[input.kind].includes(input.role))
      throw new CustodyError(
        "INPUT_INVALID",
        `a ${input.kind} has one of the roles ${rolesOf[input.kind].join(", ")}, not ${input.role}`,
      );
    const subject: AccountSubject = {
      action: "strongroom:CreatePrincipal",
      detail: { name, kind: input.kind, role: input.role },
    };
    return performOnAccount(this.#core, caller, subject, (now) => {
      mustBeFree(this.#core, input.kind, name);
      const record: PrincipalRecord = {
        name,
        kind: input.kind,
        role: input.role,
        state: "enabled",
        identity: null,
        publicKeys: [],
        groups: [],
        createdAt: now.toISOString(),
      };
      return { value: describePrincipal(this.#core, record), changes: [change("principal", name, record)] };
    });
  }

  async list(caller: Caller): Promise<readonly PrincipalDescription[]> {
    return performOnAccount(this.#core, caller, { action: "strongroom:ListPrincipals" }, () => ({
      value: [...this.#core.state.all("principal")].map(([, record]) => describePrincipal(this.#core, record)),
    }));
  }

  async disable(caller: Caller, name: string): Promise<PrincipalDescription> {
    return this.#set(caller, "strongroom:DisablePrincipal", name, "revoked");
  }

  async enable(caller: Caller, name: string): Promise<PrincipalDescription> {
    return this.#set(caller, "strongroom:EnablePrincipal", name, "enabled");
  }

  #set(
    caller: Caller,
    action: ActionName,
    name: string,
    state: PrincipalRecord["state"],
  ): Promise<PrincipalDescription> {
    return performOnAccount(this.#core, caller, { action, detail: { name: name.slice(0, 64) } }, () => {
      const record = findPrincipal(this.#core, name);
      if (principalArn(this.#core.identity, record.kind, name) === this.#core.identity.localAdministrator)
        throw new CustodyError(
          "INPUT_INVALID",
          "the data folder's own administrator is governed by the folder's permissions",
        );
      const changed = state === "revoked" ? { ...record, state } : enabled(record);
      const tokens = state === "revoked" ? tokensOf(this.#core, name) : [];
      return {
        value: describePrincipal(this.#core, changed),
        changes: [change("principal", name, changed), ...tokens],
      };
    });
  }
}

/**
 * A node that was revoked enrols anew: whoever has its old key must not get in again. Its old keys stay in the record, as
 * ended, since they tell that the name was somebody's: a token for it is not any operator's to make.
 */
function enabled(record: PrincipalRecord): PrincipalRecord {
  if (record.state === "enabled" || record.kind !== "node") return { ...record, state: "enabled" };
  return withCertificatesEnded({ ...record, state: "enabled" });
}

/** With every certificate revoked: no TLS peer is this principal until it enrols anew. */
export function withCertificatesEnded(record: PrincipalRecord): PrincipalRecord {
  return { ...record, publicKeys: record.publicKeys.map((key) => ({ ...key, notAfter: ended })) };
}

const ended = new Date(0).toISOString();

/** What ended the use of one of a principal's certificates before its time; undefined for one that is in force. */
export function endOf(
  { state }: PrincipalRecord,
  { notAfter }: PrincipalRecord["publicKeys"][number],
): DenialReason | undefined {
  if (notAfter === ended) return "certificate-revoked";
  return state === "revoked" ? "principal-disabled" : undefined;
}

/** A principal has one open token at most: a new one, a use and a revocation end the others. */
export function tokensOf(core: Core, name: string): StateChange[] {
  return [...core.state.all("token")]
    .filter(([, token]) => token.node === name)
    .map(([id]) => change("token", id, null));
}

/**
 * A name can be given to a new principal: nobody has it, and no key policy still names a deleted one of that name, as a
 * principal or in a condition: its rights would come with it. Policies of destroyed keys give none.
 *
 * @throws {CustodyError} `PRINCIPAL_EXISTS`.
 */
export function mustBeFree(core: Core, kind: PrincipalKind, name: string): void {
  if (core.state.get("principal", name) !== undefined)
    throw new CustodyError("PRINCIPAL_EXISTS", `there is a principal ${name} already`);
  const arn = principalArn(core.identity, kind, name);
  for (const [keyId, { policy, state }] of core.state.all("key"))
    if (state !== "destroyed" && policy !== core.authorizer.defaultKeyPolicy && names(policy, arn))
      throw new CustodyError(
        "PRINCIPAL_EXISTS",
        `the policy of key ${keyId} still names a deleted ${kind} ${name}, whose rights a new one would get: change the policy first`,
      );
}

/** Whether a text of a policy is this ARN, however its JSON writes it. */
function names(policy: string, arn: string): boolean {
  return JSON.stringify(JSON.parse(policy)).includes(JSON.stringify(arn));
}

/** @throws {CustodyError} `PRINCIPAL_NOT_FOUND`. */
export function findPrincipal(core: Core, name: string): PrincipalRecord {
  const record = core.state.get("principal", name);
  if (record === undefined)
    throw new CustodyError("PRINCIPAL_NOT_FOUND", `there is no principal ${JSON.stringify(name.slice(0, 80))}`);
  return record;
}

export function describePrincipal(core: Core, record: PrincipalRecord): PrincipalDescription {
  return {
    name: record.name,
    arn: principalArn(core.identity, record.kind, record.name),
    kind: record.kind,
    role: record.role,
    state: record.state,
    identity: record.identity,
    publicKeys: record.publicKeys.filter((each) => each.notAfter !== ended).map((each) => each.spkiSha256),
    createdAt: record.createdAt,
  };
}
