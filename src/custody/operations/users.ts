import { randomBytes } from "node:crypto";
import type { AccessKeySecrets } from "../access-key-secrets.ts";
import { principalArn } from "../arn.ts";
import type { AccessKeyDescription, NewAccessKey, UserDescription, UserOperations } from "../contract/users.ts";
import { type AccountSubject, type Core, performOnAccount } from "../core.ts";
import { CustodyError, type DenialReason } from "../errors.ts";
import { checkPrincipalName } from "../names.ts";
import type { Refusals } from "../refusals.ts";
import type { Caller, PrincipalDescription, RoleName } from "../service.ts";
import { type AccessKeyRecord, change, type PrincipalRecord } from "../state/records.ts";
import { findGroup } from "./groups.ts";
import { describePrincipal, findPrincipal, mustBeFree, tokensOf } from "./principals.ts";

const userRoles: readonly RoleName[] = ["administrator", "auditor", "operator", "key-user", "none"];
/** As AWS IAM: two, so that a new key can be handed out before the old one ends. */
const maxAccessKeys = 2;
/** As AWS IAM. */
const maxGroups = 10;
const idPattern = /^AKIA[A-Z2-7]{16}$/;
const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

type SignerOfKey = NonNullable<ReturnType<UserOperations["ofAccessKey"]>>;

/** Users, the groups they are in, and the access keys they sign requests with. Making or changing any takes an administrator. */
export class Users implements UserOperations {
  readonly #core: Core;
  readonly #secrets: AccessKeySecrets;
  readonly #refusals: Refusals;
  /** Records are never changed in place, so a record's description stays true. */
  readonly #described = new WeakMap<PrincipalRecord, PrincipalDescription>();

  /** `secrets` stays the caller's to dispose of. */
  constructor(core: Core, secrets: AccessKeySecrets, refusals: Refusals) {
    this.#core = core;
    this.#secrets = secrets;
    this.#refusals = refusals;
  }

  async create(
    caller: Caller,
    input: { readonly name: string; readonly role?: RoleName; readonly groups?: readonly string[] },
  ): Promise<UserDescription> {
    const name = checkPrincipalName(input.name);
    const role = input.role ?? "none";
    if (!userRoles.includes(role))
      throw new CustodyError("INPUT_INVALID", `a user has one of the roles ${userRoles.join(", ")}, not ${role}`);
    const groups = distinctGroups(input.groups ?? []);
    const subject: AccountSubject = { action: "iam:CreateUser", detail: { name, role, groups: groups.join(",") } };
    return performOnAccount(this.#core, caller, subject, (now) => {
      mustBeFree(this.#core, "user", name);
      for (const group of groups) findGroup(this.#core, group);
      const record: PrincipalRecord = {
        name,
        kind: "user",
        role,
        state: "enabled",
        identity: null,
        publicKeys: [],
        groups,
        createdAt: now.toISOString(),
      };
      return { value: this.#describe(record), changes: [change("principal", name, record)] };
    });
  }

  async list(caller: Caller): Promise<readonly UserDescription[]> {
    return performOnAccount(this.#core, caller, { action: "iam:ListUsers" }, () => {
      const keys = Map.groupBy(this.#core.state.all("accessKey"), ([, record]) => record.user);
      const users = [...this.#core.state.all("principal")].filter(([, record]) => record.kind === "user");
      return { value: users.map(([name, record]) => this.#describe(record, keys.get(name) ?? [])) };
    });
  }

  async describe(caller: Caller, name: string): Promise<UserDescription> {
    const subject = {
      action: "iam:GetUser",
      permission: "iam:ListUsers",
      detail: { name: name.slice(0, 64) },
    } as const;
    return performOnAccount(this.#core, caller, subject, () => ({ value: this.#describe(this.#find(name)) }));
  }

  async setGroups(caller: Caller, name: string, groups: readonly string[]): Promise<UserDescription> {
    const wanted = distinctGroups(groups);
    const detail = { name: name.slice(0, 64), groups: wanted.join(",") };
    return performOnAccount(this.#core, caller, { action: "strongroom:SetUserGroups", detail }, () => {
      const record = this.#findChangeable(name);
      for (const group of wanted) findGroup(this.#core, group);
      const changed = { ...record, groups: wanted };
      return { value: this.#describe(changed), changes: [change("principal", name, changed)] };
    });
  }

  /**
   * With its access keys, its open token, its grants, and those that were made by right of them. Grants that it might retire
   * stay, without anyone in its place: a new user of its name would be another.
   */
  async delete(caller: Caller, name: string): Promise<void> {
    const subject = { action: "iam:DeleteUser", detail: { name: name.slice(0, 64) } } as const;
    return performOnAccount(this.#core, caller, subject, () => {
      this.#findChangeable(name);
      const arn = principalArn(this.#core.identity, "user", name);
      const held = this.#core.authorizer.grants.ofGrantee(arn);
      const grants = this.#core.authorizer.endingWith(held.map(({ id }) => id));
      const retirable = this.#core.authorizer.grants.retirableBy(arn).filter(({ id }) => !grants.has(id));
      return {
        value: undefined,
        changes: [
          change("principal", name, null),
          ...this.#keysOf(name).map(([id]) => change("accessKey", id, null)),
          ...tokensOf(this.#core, name),
          ...[...grants].map((id) => change("grant", id, null)),
          ...retirable.map(({ retiring: _, ...kept }) => change("grant", kept.id, kept)),
        ],
      };
    });
  }

  async createAccessKey(caller: Caller, name: string): Promise<NewAccessKey> {
    const id = newAccessKeyId();
    const detail = { name: name.slice(0, 64), accessKeyId: id };
    return performOnAccount(
      this.#core,
      caller,
      { action: "iam:CreateAccessKey", detail },
      (now) => {
        this.#findChangeable(name);
        if (this.#keysOf(name).length >= maxAccessKeys)
          throw new CustodyError(
            "LIMIT_EXCEEDED",
            `${name} has ${maxAccessKeys} access keys, which is the limit: delete one first`,
          );
        const record: AccessKeyRecord = { user: name, version: 1, state: "enabled", createdAt: now.toISOString() };
        return { value: this.#withSecret(id, record), changes: [change("accessKey", id, record)] };
      },
      ({ secret }) => secret[Symbol.dispose](),
    );
  }

  async rotateAccessKey(caller: Caller, id: string): Promise<NewAccessKey> {
    return performOnAccount(
      this.#core,
      caller,
      { action: "strongroom:RotateAccessKey", detail: { accessKeyId: id.slice(0, 64) } },
      (now) => {
        const before = this.#findKey(id);
        const record = { ...before, version: before.version + 1, createdAt: now.toISOString() };
        return { value: this.#withSecret(id, record), changes: [change("accessKey", id, record)] };
      },
      ({ secret }) => secret[Symbol.dispose](),
    );
  }

  async setAccessKeyState(caller: Caller, id: string, state: "enabled" | "disabled"): Promise<AccessKeyDescription> {
    const subject = { action: "iam:UpdateAccessKey", detail: { accessKeyId: id.slice(0, 64), state } } as const;
    return performOnAccount(this.#core, caller, subject, () => {
      const record = { ...this.#findKey(id), state };
      return { value: describeKey(id, record), changes: [change("accessKey", id, record)] };
    });
  }

  async deleteAccessKey(caller: Caller, id: string): Promise<void> {
    const subject = { action: "iam:DeleteAccessKey", detail: { accessKeyId: id.slice(0, 64) } } as const;
    return performOnAccount(this.#core, caller, subject, () => {
      this.#findKey(id);
      return { value: undefined, changes: [change("accessKey", id, null)] };
    });
  }

  ofAccessKey(id: string): SignerOfKey | undefined {
    const found = this.#signerOf(id);
    return found?.endedBy === undefined ? found?.signer() : undefined;
  }

  endedAccessKey(id: string): SignerOfKey | undefined {
    const found = this.#signerOf(id);
    return found?.endedBy === undefined ? undefined : found.signer();
  }

  async recordEndedAccessKey(id: string, attempt: Omit<Caller, "principal" | "accessKeyId">): Promise<void> {
    const found = this.#signerOf(id);
    if (found?.endedBy === undefined) return;
    const principal = principalArn(this.#core.identity, "user", found.user);
    await this.#refusals.ofRevoked({ ...attempt, principal, accessKeyId: id }, { deniedBy: found.endedBy });
  }

  /** The user of an access key, and what ended their use, by the state of this moment. */
  #signerOf(id: string) {
    const key = this.#core.state.get("accessKey", id);
    const record = key === undefined ? undefined : this.#core.state.get("principal", key.user);
    if (key === undefined || record?.kind !== "user") return undefined;
    const endedBy: DenialReason | undefined =
      record.state !== "enabled" ? "principal-disabled" : key.state !== "enabled" ? "access-key-disabled" : undefined;
    const signer = (): SignerOfKey => ({
      principal: this.#described.getOrInsertComputed(record, () => describePrincipal(this.#core, record)),
      secret: this.#secrets.of(id, key.version),
      version: key.version,
    });
    return { user: record.name, endedBy, signer };
  }

  #find(name: string): PrincipalRecord {
    const record = findPrincipal(this.#core, name);
    if (record.kind !== "user")
      throw new CustodyError("PRINCIPAL_NOT_FOUND", `${name} is a ${record.kind}, not a user`);
    return record;
  }

  #findChangeable(name: string): PrincipalRecord {
    const record = this.#find(name);
    if (principalArn(this.#core.identity, "user", name) === this.#core.identity.localAdministrator)
      throw new CustodyError(
        "INPUT_INVALID",
        "the data folder's own administrator is governed by the folder's permissions",
      );
    return record;
  }

  #findKey(id: string): AccessKeyRecord {
    const record = idPattern.test(id) ? this.#core.state.get("accessKey", id) : undefined;
    if (record === undefined)
      throw new CustodyError("ACCESS_KEY_NOT_FOUND", `there is no access key ${JSON.stringify(id.slice(0, 80))}`);
    return record;
  }

  #keysOf(name: string): (readonly [string, AccessKeyRecord])[] {
    return [...this.#core.state.all("accessKey")].filter(([, record]) => record.user === name);
  }

  #describe(record: PrincipalRecord, keys = this.#keysOf(record.name)): UserDescription {
    return {
      ...describePrincipal(this.#core, record),
      groups: record.groups,
      accessKeys: keys.map(([id, key]) => describeKey(id, key)),
    };
  }

  #withSecret(id: string, record: AccessKeyRecord): NewAccessKey {
    return { ...describeKey(id, record), secret: this.#secrets.derive(id, record.version) };
  }
}

function describeKey(id: string, { user, version, state, createdAt }: AccessKeyRecord): AccessKeyDescription {
  return { id, user, version, state, createdAt };
}

function distinctGroups(groups: readonly string[]): readonly string[] {
  const distinct = [...new Set(groups)];
  if (distinct.length > maxGroups)
    throw new CustodyError("INPUT_INVALID", `a user is in at most ${maxGroups} groups, not ${distinct.length}`);
  return distinct.map(checkPrincipalName);
}

/** As AWS writes them: `AKIA` and 80 random bits in base32. */
function newAccessKeyId(): string {
  return `AKIA${Array.from(randomBytes(16), (byte) => idAlphabet[byte & 31]).join("")}`;
}
