import { join } from "node:path";
import { describe } from "node:test";
import { FabricNetwork } from "../../fabric/fabric-network.ts";
import { ledgerContract } from "./ledger-contract.ts";
import { trialName } from "./trial-chaincode.ts";

describe("a channel of Fabric through its gateway, with chaincode in Fabric's runtime", () => {
  ledgerContract(async () => {
    const folder = join(import.meta.dirname, "../../fabric/trial-chaincode");
    const mspIds = ["Org1MSP", "Org2MSP", "Org3MSP"];
    const network = await FabricNetwork.start({ mspIds, chaincode: trialName, folder, endorsers: 2 });
    const { channel } = network;
    const ledger = network.ledger();
    const [client, admin] = await Promise.all([
      channel.organisation("Org2MSP").issue("client"),
      channel.organisation("Org2MSP").issue("admin"),
    ]);
    await using connection = await ledger.connect(admin);
    await connection.submit(trialName, "setChannelHash", [channel.genesisHash.toString("hex")]);
    return {
      ledger,
      client,
      admin,
      organisations: channel.organisations.map(({ mspId, root }) => ({ mspId, roots: [root] })),
      [Symbol.asyncDispose]: async () => {
        await ledger[Symbol.asyncDispose]();
        await network[Symbol.asyncDispose]();
      },
    };
  });
});
