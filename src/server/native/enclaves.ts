import { type Endpoint, endpoint } from "./endpoint.ts";

/** Enclaves, as their hosts tell of them. */
export const enclaveEndpoints: readonly Endpoint[] = [
  endpoint("enclaves.report", ({ custody, caller }, report) => custody.enclaves.report(caller, report)),
  endpoint("enclaves.list", async ({ custody, caller }, { node }) => ({
    enclaves: [...(await custody.enclaves.list(caller, node))],
  })),
  endpoint("enclaves.forget", ({ custody, caller }, { node, enclave }) =>
    custody.enclaves.forget(caller, node, enclave),
  ),
];
