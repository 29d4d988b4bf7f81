import { type Endpoint, endpoint } from "./endpoint.ts";

/** The audit chain. */
export const auditEndpoints: readonly Endpoint[] = [
  endpoint("audit.read", async ({ custody, caller }, input) => ({ records: await custody.audit.read(caller, input) })),
  endpoint("audit.checkpoint", ({ custody, caller }) => custody.audit.checkpoint(caller)),
  endpoint("audit.verify", ({ custody, caller }, { checkpoint }) => custody.audit.verify(caller, checkpoint)),
];
