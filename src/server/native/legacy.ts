import { type Endpoint, endpoint, endpointOfSecret } from "./endpoint.ts";

/** The registry of FISCO cipherDataKeys that may be opened. The superKey comes as raw bytes. */
export const legacyEndpoints: readonly Endpoint[] = [
  endpointOfSecret("legacy.register", ({ custody, caller }, input, superKey) =>
    custody.legacy.register(caller, { ...input, superKey }),
  ),
  endpoint("legacy.list", async ({ custody, caller }) => ({ entries: await custody.legacy.list(caller) })),
];
