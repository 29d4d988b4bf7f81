import { peer } from "@hyperledger/fabric-protos";
import type { InstalledChaincode } from "./peer.ts";

/** Chaincode of somebody's own that hands its arguments on to another chaincode of the channel, as any chaincode may. */
export function relayTo(chaincode: string): InstalledChaincode {
  return {
    execute: async ({ input, invoke }) => {
      const answer = await invoke(chaincode, input.getArgsList_asU8());
      const response = new peer.Response();
      response.setStatus(answer.getStatus());
      response.setMessage(answer.getMessage());
      response.setPayload(answer.getPayload_asU8());
      return { response, event: new Uint8Array() };
    },
    [Symbol.dispose]: () => undefined,
  };
}
