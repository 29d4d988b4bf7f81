import { groupArn } from "../arn.ts";
import type { GroupDescription, GroupOperations } from "../contract/users.ts";
import { type Core, performOnAccount } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { checkGroupName } from "../names.ts";
import { type ManagedPolicyName, managedPolicies } from "../policy/roles.ts";
import type { Caller } from "../service.ts";
import { change, type GroupRecord } from "../state/records.ts";

/** Groups of users: what a group's policies allow, its members may, beside what their roles allow. */
export class Groups implements GroupOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async create(
    caller: Caller,
    input: { readonly name: string; readonly policies: readonly string[] },
  ): Promise<GroupDescription> {
    const name = checkGroupName(input.name);
    const policies = checkPolicies(input.policies);
    const subject = { action: "iam:CreateGroup", detail: { name, policies: policies.join(",") } } as const;
    return performOnAccount(this.#core, caller, subject, (now) => {
      if (this.#core.state.get("group", name) !== undefined)
        throw new CustodyError("GROUP_EXISTS", `there is a group ${name} already`);
      const record: GroupRecord = { policies, createdAt: now.toISOString() };
      return { value: this.#describe(name, record), changes: [change("group", name, record)] };
    });
  }

  async list(caller: Caller): Promise<readonly GroupDescription[]> {
    return performOnAccount(this.#core, caller, { action: "iam:ListGroups" }, () => ({
      value: [...this.#core.state.all("group")].map(([name, record]) => this.#describe(name, record)),
    }));
  }

  /** Holds for every member from the next request on. */
  async setPolicies(caller: Caller, name: string, policies: readonly string[]): Promise<GroupDescription> {
    const wanted = checkPolicies(policies);
    const detail = { name: name.slice(0, 64), policies: wanted.join(",") };
    return performOnAccount(this.#core, caller, { action: "strongroom:SetGroupPolicies", detail }, () => {
      const record = { ...findGroup(this.#core, name), policies: wanted };
      return { value: this.#describe(name, record), changes: [change("group", name, record)] };
    });
  }

  /** Of a group without members, as with AWS IAM: nobody loses rights by a slip. */
  async delete(caller: Caller, name: string): Promise<void> {
    const subject = { action: "iam:DeleteGroup", detail: { name: name.slice(0, 64) } } as const;
    return performOnAccount(this.#core, caller, subject, () => {
      findGroup(this.#core, name);
      const member = [...this.#core.state.all("principal")].find(([, record]) => record.groups.includes(name));
      if (member !== undefined)
        throw new CustodyError("GROUP_IN_USE", `the group ${name} has members, such as ${member[0]}: move them first`);
      return { value: undefined, changes: [change("group", name, null)] };
    });
  }

  #describe(name: string, { policies, createdAt }: GroupRecord): GroupDescription {
    return { name, arn: groupArn(this.#core.identity, name), policies, createdAt };
  }
}

/** @throws {CustodyError} `GROUP_NOT_FOUND`. */
export function findGroup(core: Core, name: string): GroupRecord {
  const record = core.state.get("group", name);
  if (record === undefined)
    throw new CustodyError("GROUP_NOT_FOUND", `there is no group ${JSON.stringify(name.slice(0, 80))}`);
  return record;
}

function checkPolicies(policies: readonly string[]): readonly ManagedPolicyName[] {
  for (const policy of policies)
    if (!Object.hasOwn(managedPolicies, policy))
      throw new CustodyError(
        "INPUT_INVALID",
        `there is no managed policy ${JSON.stringify(policy.slice(0, 80))}; there is ${Object.keys(managedPolicies).join(", ")}`,
      );
  return [...new Set(policies)] as ManagedPolicyName[];
}
