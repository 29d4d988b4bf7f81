import { EnclaveError } from "../errors.ts";
import { importKeys, ownId } from "./provisioning.ts";
import type { TrialNetwork } from "./trial-network.ts";

/**
 * Has enclaves confirm a proposed generation, each by its own organisation: in a trial network every host is at hand.
 *
 * @param enclaveIds - To whom it was exported
 * @returns Those that confirmed; enclaves whose host's folder is gone are left out
 */
export async function confirmByAll(network: TrialNetwork, enclaveIds: readonly string[]): Promise<readonly string[]> {
  const confirmed: string[] = [];
  for (const organisation of network.organisations) {
    const client = await network.client(organisation);
    for (const name of network.runnable(organisation)) {
      const stub = await network.stub(client, organisation, name).catch((error: unknown) => {
        // The proposer's own, which is open already.
        if (error instanceof EnclaveError && error.code === "CONFLICT") return undefined;
        throw error;
      });
      if (stub === undefined) continue;
      await using opened = stub;
      if (!opened.created || !enclaveIds.includes(ownId(opened))) continue;
      await importKeys(client, opened);
      confirmed.push(ownId(opened));
    }
  }
  return confirmed;
}
