import { Command } from "commander";
import { printData, tell, withJson } from "../output.ts";
import { type KeyManagerOptions, keyManagerSettings, withKeyManager } from "./key-manager-options.ts";
import { type NetworkOptions, wholeNumberTo, withFolder } from "./network-session.ts";
import { tellingRefusals } from "./refusal.ts";

export function networkCommand(): Command {
  const network = new Command("network").description(
    "a trial network: all organisations in one folder. Nothing of it runs between commands; to end it, remove the folder",
  );
  network.addCommand(
    withJson(withKeyManager(withFolder(new Command("up"))))
      .description("make a channel with its organisations, ERCC, a private chaincode and its policy document")
      .option("--orgs <number>", "how many organisations, up to 16", wholeNumberTo(16), 3)
      .option("--chaincode <id>", "the private chaincode", "auction")
      .addHelpText(
        "after",
        `
Nothing runs in the background: each later command opens the folder, and the enclave's process where it needs one. With
--key-manager, every enclave opens by the word of that key manager only; enclave create can name another for one enclave.

Example:
  strongroom fpc network up --orgs 3
  strongroom fpc enclave create --org 1
  strongroom fpc status`,
      )
      .action(up),
  );
  return network;
}

interface UpOptions extends NetworkOptions, KeyManagerOptions {
  readonly orgs: number;
  readonly chaincode: string;
  readonly json?: boolean;
}

async function up(options: UpOptions): Promise<void> {
  const { TrialNetwork } = await import("../../enclave/operator/trial-network.ts");
  const { folder, orgs: organisations, chaincode: chaincodeId } = options;
  const keyManager = await keyManagerSettings(options);
  const settings = { folder, organisations, chaincodeId, keyManager };
  await using network = await tellingRefusals(() => TrialNetwork.create(settings));
  const made = {
    folder: network.folder,
    channelId: network.ledger.channelId,
    chaincodeId,
    organisations: network.organisations.map(({ mspId }) => mspId),
    measurement: network.ledger.definition(chaincodeId)?.version,
  };
  printData(options, made, () =>
    [
      `channel ${made.channelId} in ${made.folder}: ${made.organisations.join(", ")}`,
      `private chaincode ${chaincodeId}, for enclaves of measurement ${made.measurement}`,
    ].join("\n"),
  );
  tell(
    "for trials only: all keys lie in this folder, and its enclaves are simulated, so its host's root sees everything",
  );
}
