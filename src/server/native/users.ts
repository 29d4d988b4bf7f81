import { type Endpoint, endpoint, endpointForSecret } from "./endpoint.ts";

/** Users, groups and access keys. The secret of an access key is the raw body of the one answer that tells it. */
export const userEndpoints: readonly Endpoint[] = [
  endpoint("users.create", ({ custody, caller }, input) => custody.users.create(caller, input)),
  endpoint("users.list", async ({ custody, caller }) => ({ users: await custody.users.list(caller) })),
  endpoint("users.describe", ({ custody, caller }, { name }) => custody.users.describe(caller, name)),
  endpoint("users.setGroups", ({ custody, caller }, { name, groups }) => custody.users.setGroups(caller, name, groups)),
  endpoint("users.delete", ({ custody, caller }, { name }) => custody.users.delete(caller, name)),

  endpointForSecret("accessKeys.create", ({ custody, caller }, { user }) =>
    custody.users.createAccessKey(caller, user),
  ),
  endpointForSecret("accessKeys.rotate", ({ custody, caller }, { id }) => custody.users.rotateAccessKey(caller, id)),
  endpoint("accessKeys.setState", ({ custody, caller }, { id, state }) =>
    custody.users.setAccessKeyState(caller, id, state),
  ),
  endpoint("accessKeys.delete", ({ custody, caller }, { id }) => custody.users.deleteAccessKey(caller, id)),

  endpoint("groups.create", ({ custody, caller }, input) => custody.groups.create(caller, input)),
  endpoint("groups.list", async ({ custody, caller }) => ({ groups: await custody.groups.list(caller) })),
  endpoint("groups.setPolicies", ({ custody, caller }, { name, policies }) =>
    custody.groups.setPolicies(caller, name, policies),
  ),
  endpoint("groups.delete", ({ custody, caller }, { name }) => custody.groups.delete(caller, name)),
];
