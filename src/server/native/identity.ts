import { openApiDocument } from "../openapi.ts";
import { type Endpoint, endpoint } from "./endpoint.ts";

/** About the caller, and about this door. */
export const identityEndpoints: readonly Endpoint[] = [
  endpoint("whoami", async ({ custody, caller, certificateNotAfterMs }) => {
    await custody.acknowledge(caller, "strongroom:WhoAmI");
    return {
      principal: caller.principal,
      account: custody.identity.account,
      region: custody.identity.region,
      certificateNotAfter: certificateNotAfterMs === undefined ? null : new Date(certificateNotAfterMs).toISOString(),
    };
  }),
  endpoint("openapi", async ({ custody, caller }) => {
    await custody.acknowledge(caller, "strongroom:ReadOpenApi");
    return openApiDocument();
  }),
];
