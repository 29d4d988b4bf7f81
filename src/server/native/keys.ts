import { type Endpoint, endpoint } from "./endpoint.ts";

/** Master keys, their tags, rotation and aliases. */
export const keyEndpoints: readonly Endpoint[] = [
  endpoint("keys.create", ({ custody, caller }, input) => custody.keys.create(caller, input)),
  endpoint("keys.describe", ({ custody, caller }, { key }) => custody.keys.describe(caller, key)),
  endpoint("keys.list", async ({ custody, caller }) => ({ keys: await custody.keys.list(caller) })),
  endpoint("keys.page", async ({ custody, caller }, { after, limit }) => {
    const page = { limit, ...(after === undefined ? {} : { after }) };
    const { items, more } = await custody.keys.page(caller, page, { which: "all" });
    return { keys: [...items], more };
  }),
  endpoint("keys.enable", ({ custody, caller }, { key }) => custody.keys.enable(caller, key)),
  endpoint("keys.disable", ({ custody, caller }, { key }) => custody.keys.disable(caller, key)),
  endpoint("keys.rotate", ({ custody, caller }, { key }) => custody.keys.rotate(caller, key)),
  endpoint("keys.scheduleDeletion", ({ custody, caller }, { key, pendingDays }) =>
    custody.keys.scheduleDeletion(caller, key, pendingDays),
  ),
  endpoint("keys.cancelDeletion", ({ custody, caller }, { key }) => custody.keys.cancelDeletion(caller, key)),
  endpoint("keys.destroy", ({ custody, caller }, { key }) => custody.keys.destroy(caller, key)),
  endpoint("keys.updateDescription", ({ custody, caller }, { key, description }) =>
    custody.keys.updateDescription(caller, key, description),
  ),

  endpoint("tags.add", ({ custody, caller }, { key, tags }) => custody.tags.add(caller, key, tags)),
  endpoint("tags.remove", ({ custody, caller }, { key, names }) => custody.tags.remove(caller, key, names)),
  endpoint("tags.list", async ({ custody, caller }, { key }) => ({ tags: await custody.tags.list(caller, key) })),

  endpoint("rotation.enable", ({ custody, caller }, { key, periodDays }) =>
    custody.rotation.enable(caller, key, periodDays),
  ),
  endpoint("rotation.disable", ({ custody, caller }, { key }) => custody.rotation.disable(caller, key)),
  endpoint("rotation.status", ({ custody, caller }, { key }) => custody.rotation.status(caller, key)),
  endpoint("rotation.list", async ({ custody, caller }, { key }) => ({
    rotations: await custody.rotation.list(caller, key),
  })),

  endpoint("aliases.create", ({ custody, caller }, { alias, key }) => custody.aliases.create(caller, alias, key)),
  endpoint("aliases.update", ({ custody, caller }, { alias, key }) => custody.aliases.update(caller, alias, key)),
  endpoint("aliases.delete", ({ custody, caller }, { alias }) => custody.aliases.delete(caller, alias)),
  endpoint("aliases.list", async ({ custody, caller }) => ({ aliases: await custody.aliases.list(caller) })),
];
