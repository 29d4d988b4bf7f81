import { type Endpoint, endpoint } from "./endpoint.ts";

/** Who may do what: key policies, grants, principals. */
export const accessEndpoints: readonly Endpoint[] = [
  endpoint("policies.get", async ({ custody, caller }, { key }) => ({
    policy: await custody.policies.get(caller, key),
  })),
  endpoint("policies.put", ({ custody, caller }, { key, policy, ...options }) =>
    custody.policies.put(caller, key, policy, options),
  ),

  endpoint("grants.create", ({ custody, caller }, { key, ...input }) => custody.grants.create(caller, key, input)),
  endpoint("grants.list", async ({ custody, caller }, { key }) => ({ grants: await custody.grants.list(caller, key) })),
  endpoint("grants.revoke", ({ custody, caller }, { key, grantId }) => custody.grants.revoke(caller, key, grantId)),
  endpoint("grants.retire", ({ custody, caller }, { key, grantId }) =>
    custody.grants.retire(caller, key ?? null, grantId),
  ),

  endpoint("principals.create", ({ custody, caller }, input) => custody.principals.create(caller, input)),
  endpoint("principals.list", async ({ custody, caller }) => ({ principals: await custody.principals.list(caller) })),
  endpoint("principals.disable", ({ custody, caller }, { name }) => custody.principals.disable(caller, name)),
  endpoint("principals.enable", ({ custody, caller }, { name }) => custody.principals.enable(caller, name)),
];
