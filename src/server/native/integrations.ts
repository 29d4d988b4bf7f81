import { type Endpoint, endpoint, endpointOfSecret } from "./endpoint.ts";

/** Integrations with upstream key management services. The secret access key is the raw body of `create`, and of nothing else. */
export const integrationEndpoints: readonly Endpoint[] = [
  endpointOfSecret("integrations.create", ({ custody, caller }, input, apiSecret) =>
    custody.integrations.create(caller, { ...input, apiSecret }),
  ),
  endpoint("integrations.list", async ({ custody, caller }) => ({
    integrations: [...(await custody.integrations.list(caller))],
  })),
  endpoint("integrations.describe", ({ custody, caller }, { name }) => custody.integrations.describe(caller, name)),
  endpoint("integrations.delete", ({ custody, caller }, { name }) => custody.integrations.delete(caller, name)),
];
