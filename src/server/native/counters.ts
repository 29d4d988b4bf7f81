import { type Endpoint, endpoint } from "./endpoint.ts";

/** Counters that a node cannot take back. */
export const counterEndpoints: readonly Endpoint[] = [
  endpoint("counters.advance", ({ custody, caller }, input) => custody.counters.advance(caller, input)),
  endpoint("counters.read", async ({ custody, caller }, { name }) => ({
    counter: await custody.counters.read(caller, name),
  })),
  endpoint("counters.list", async ({ custody, caller }, { node }) => ({
    counters: [...(await custody.counters.list(caller, node))],
  })),
  endpoint("counters.reset", ({ custody, caller }, { node, name }) => custody.counters.reset(caller, node, name)),
];
