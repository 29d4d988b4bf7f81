import { type Endpoint, endpoint } from "./endpoint.ts";

/** The cards and tokens of the key manager's devices.toml. */
export const deviceEndpoints: readonly Endpoint[] = [
  endpoint("devices.list", async ({ custody, caller }) => ({
    devices: (await custody.devices.list(caller)).map((each) => ({ ...each, members: [...each.members] })),
  })),
  endpoint("devices.trust", async ({ custody, caller }, { sha256 }) => ({
    devices: [...(await custody.devices.trust(caller, sha256))],
  })),
];
