import { Command } from "commander";
import { type OutputOptions, printData, withJson } from "../output.ts";
import { asOrganisation, checkChaincode, type EnclaveOptions, withEnclave, withStub } from "./network-session.ts";

/** The commands of the document's diagram, as it prints them: `lifecycle chaincode initEnclave CC_ID`, and so on. */
export function lifecycleCommand(): Command {
  const chaincode = new Command("chaincode").description("enclaves and keys of a private chaincode");
  chaincode.addCommand(
    withJson(withEnclave(new Command("initEnclave").argument("<CC_ID>", "the private chaincode")))
      .description("create and register the enclave; where the chaincode has no keys yet, generate and register them")
      .action(initEnclave),
  );
  chaincode.addCommand(
    withJson(withEnclave(new Command("exportcckeys").argument("<CC_ID>", "the private chaincode")))
      .description("export the keys to every registered enclave that has none")
      .action(exportKeys),
  );
  chaincode.addCommand(
    withJson(withEnclave(new Command("importcckeys").argument("<CC_ID>", "the private chaincode")))
      .description("import the keys that were exported to this host's enclave")
      .action(importKeys),
  );
  return new Command("lifecycle")
    .description("the commands of Fabric Private Chaincode's diagram of key distribution")
    .addCommand(chaincode);
}

async function initEnclave(chaincodeId: string, options: EnclaveOptions & OutputOptions): Promise<void> {
  await asOrganisation(options, async ({ network, organisation, client }) => {
    checkChaincode(network, chaincodeId);
    const { initialise } = await import("../../enclave/operator/provisioning.ts");
    await using stub = await network.stub(client, organisation, options.enclave);
    const { enclaveId, generated } = await initialise(client, stub, await network.creation(client, organisation));
    printData(options, { enclaveId, generated }, () =>
      [
        `enclave ${enclaveId} of ${organisation.mspId} is created and registered`,
        generated
          ? `it holds the keys of ${chaincodeId}`
          : `${chaincodeId} has keys already: have them exported to it (exportcckeys), then import them (importcckeys)`,
      ].join("\n"),
    );
  });
}

async function exportKeys(chaincodeId: string, options: EnclaveOptions & OutputOptions): Promise<void> {
  await withStub(options, async ({ network, client, stub }) => {
    checkChaincode(network, chaincodeId);
    const provisioning = await import("../../enclave/operator/provisioning.ts");
    const exported = await provisioning.exportKeys(client, stub);
    printData(options, exported, (list) =>
      list.map(({ receiverId, mspId }) => `exported to ${receiverId} of ${mspId}`).join("\n"),
    );
  });
}

async function importKeys(chaincodeId: string, options: EnclaveOptions & OutputOptions): Promise<void> {
  await withStub(options, async ({ network, client, stub }) => {
    checkChaincode(network, chaincodeId);
    const provisioning = await import("../../enclave/operator/provisioning.ts");
    await provisioning.importKeys(client, stub);
    const enclaveId = provisioning.ownId(stub);
    printData(options, { enclaveId }, () => `enclave ${enclaveId} holds the keys of ${chaincodeId}`);
  });
}
