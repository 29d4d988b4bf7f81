import { type Endpoint, endpoint } from "./endpoint.ts";

/** The audit chain. */
export const auditEndpoints: readonly Endpoint[] = [
  endpoint("audit.read", async ({ custody, caller }, input) => ({ records: await custody.audit.read(caller, input) })),
  endpoint("audit.search", async ({ custody, caller }, input) => {
    const { records, next } = await custody.audit.search(caller, input);
    return { records: [...records], next };
  }),
  endpoint("audit.export", async ({ custody, caller }, input) => ({
    records: await custody.audit.export(caller, input),
  })),
  endpoint("audit.reportPosition", ({ custody, caller }, { node }) => custody.audit.reportPosition(caller, node)),
  endpoint("audit.completeReport", ({ custody, caller }, { node, sequence }) =>
    custody.audit.completeReport(caller, node, sequence),
  ),
  endpoint("audit.checkpoint", ({ custody, caller }) => custody.audit.checkpoint(caller)),
  endpoint("audit.verify", ({ custody, caller }, { checkpoint }) => custody.audit.verify(caller, checkpoint)),
];
