import { Command } from "commander";
import { type OutputOptions, printData, withJson } from "../output.ts";
import { upgradeCommand } from "./chaincode.ts";
import { chooseKeyManager, type KeyManagerOptions, withKeyManager } from "./key-manager-options.ts";
import { asMember, type EnclaveOptions, requireChaincode, withAgent, withEnclave } from "./member-session.ts";

/** The commands of the document's diagram, as it prints them: `lifecycle chaincode initEnclave CC_ID`, and so on. */
export function lifecycleCommand(): Command {
  const chaincode = new Command("chaincode").description("enclaves and keys of a private chaincode");
  chaincode.addCommand(
    withJson(withKeyManager(withEnclave(new Command("initEnclave").argument("<CC_ID>", "the private chaincode"))))
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
  chaincode.addCommand(upgradeCommand());
  return new Command("lifecycle")
    .description("the commands of Fabric Private Chaincode's diagram of key distribution")
    .addCommand(chaincode);
}

async function initEnclave(
  chaincodeId: string,
  options: EnclaveOptions & KeyManagerOptions & OutputOptions,
): Promise<void> {
  await asMember(options, async ({ member }) => {
    requireChaincode(member, chaincodeId);
    const { initialise } = await import("../../enclave/operator/provisioning.ts");
    const creation = await member.creation();
    await chooseKeyManager(member, options);
    await using agent = await member.agent(options.enclave);
    const { enclaveId, generated } = await initialise(member.client, agent, creation);
    printData(options, { enclaveId, generated }, () =>
      [
        `enclave ${enclaveId} of ${member.mspId} is created and registered`,
        generated
          ? `it holds the keys of ${chaincodeId}`
          : `${chaincodeId} has keys already: have them exported to it (exportcckeys), then import them (importcckeys)`,
      ].join("\n"),
    );
  });
}

async function exportKeys(chaincodeId: string, options: EnclaveOptions & OutputOptions): Promise<void> {
  await withAgent(
    options,
    async ({ member, agent }) => {
      const provisioning = await import("../../enclave/operator/provisioning.ts");
      const exported = await provisioning.exportKeys(member.client, agent);
      printData(options, exported, (list) =>
        list.map(({ receiverId, mspId }) => `exported to ${receiverId} of ${mspId}`).join("\n"),
      );
    },
    chaincodeId,
  );
}

async function importKeys(chaincodeId: string, options: EnclaveOptions & OutputOptions): Promise<void> {
  await withAgent(
    options,
    async ({ member, agent }) => {
      const provisioning = await import("../../enclave/operator/provisioning.ts");
      await provisioning.importKeys(member.client, agent);
      const enclaveId = provisioning.ownId(agent);
      printData(options, { enclaveId }, () => `enclave ${enclaveId} holds the keys of ${chaincodeId}`);
    },
    chaincodeId,
  );
}
