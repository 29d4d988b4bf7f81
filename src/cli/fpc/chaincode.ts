import { Command, InvalidArgumentError, Option } from "commander";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, tell, withJson } from "../output.ts";
import { upgradeOnFabric } from "./fabric-upgrade.ts";
import { checkChaincode, inNetwork, type NetworkOptions, wholeNumber, withFolder } from "./network-session.ts";

interface UpgradeOptions extends NetworkOptions, OutputOptions {
  readonly endorsement?: string;
  readonly code?: boolean;
  readonly oldInstallation?: string;
  readonly recover?: boolean;
  readonly by?: readonly number[];
  readonly connection?: string;
  readonly document?: string;
}

export function chaincodeCommand(): Command {
  return new Command("chaincode")
    .description("the private chaincode's definition: upgrade")
    .addCommand(upgradeCommand());
}

/** Step 12 of the document, `fpc chaincode upgrade`. */
export function upgradeCommand(): Command {
  return withJson(withFolder(new Command("upgrade").argument("<CC_ID>", "the private chaincode")))
    .description(
      "give the chaincode another endorsement policy, or other code, with all that enclaves have to do for it",
    )
    .option(
      "--endorsement <policy>",
      "who has to endorse, as Fabric writes it: OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer')",
    )
    .option("--code", "from now on for the enclaves of this installation of Strongroom")
    .option("--old-installation <dir>", "with other code: the installation whose enclaves hold the keys (means --code)")
    .option("--recover", "with other code: the keys out of the recovery shares on the ledger (means --code)")
    .option("--by <numbers>", "the organisations that sign the policies and approve, as 1,3; left out: all", numbers)
    .addOption(
      new Option("--connection <file>", "a channel of Fabric: this organisation's connection settings").conflicts([
        "folder",
        "code",
        "oldInstallation",
        "recover",
        "by",
      ]),
    )
    .option(
      "--document <file>",
      "with --connection: where the policy document to be signed is written, the second one under another name than the first; left out: policy-NUMBER.json",
    )
    .addHelpText(
      "after",
      `
On a trial network, whose organisations are all at hand: their policy names the definition's next sequence; the enclaves attest
for it, or new ones are made and get the keys; a majority of the organisations approves the definition; a last policy allows the
new version alone. Called again with the same words after an interruption, it goes on. Called without words, it sees to enclaves
that stayed behind.

On a channel of Fabric (--connection), for another endorsement policy: each organisation calls it with the same words, as often as
it is told to. It has the own host's enclaves attest, writes the policy documents that are to be signed, and prints which
commands come next and of whom, those of Fabric's own tools among them.

Example:
  strongroom fpc chaincode upgrade auction --endorsement "AND('Org1MSP.peer', OR('Org2MSP.peer', 'Org3MSP.peer'))"`,
    )
    .action(upgrade);
}

async function upgrade(chaincodeId: string, options: UpgradeOptions): Promise<void> {
  const { connection } = options;
  if (connection !== undefined) return await upgradeOnFabric(chaincodeId, { ...options, connection });
  if (options.document !== undefined)
    throw new CommandFailure(exitCodes.usage, "--document is for a channel of Fabric, with --connection");
  const { formatPolicy, parsePolicy } = await import("../../enclave/ledger/policy-text.ts");
  const { openInstallation } = await import("../../enclave/operator/installation.ts");
  const { reportEnclaves } = await import("../../enclave/operator/report-enclaves.ts");
  const { TrialMember } = await import("../../enclave/operator/trial-member.ts");
  const { upgradeChaincode } = await import("../../enclave/operator/trial-upgrade.ts");
  const { endorsement, oldInstallation, recover = false } = options;
  const isOfOtherCode = options.code === true || oldInstallation !== undefined || recover;
  await inNetwork(options, async (network) => {
    checkChaincode(network, chaincodeId);
    const { done, leftBehind, ...upgraded } = await upgradeChaincode(network, {
      endorsement: endorsement === undefined ? undefined : parsePolicy(endorsement).policy,
      version: isOfOtherCode ? network.measurement : undefined,
      oldInstallation: oldInstallation === undefined ? undefined : await openInstallation(oldInstallation),
      recover,
      by: options.by?.map((number) => network.organisation(number)) ?? network.organisations,
      told: tell,
    });
    for (const organisation of network.organisations)
      for (const problem of await reportEnclaves(await TrialMember.open(network, organisation))) tell(problem);
    const { version, sequence } = upgraded;
    const policy = formatPolicy(upgraded.endorsement);
    const result = { chaincodeId, version, sequence: Number(sequence), endorsement: policy, done, leftBehind };
    printData(
      options,
      result,
      () =>
        `${chaincodeId} is ${done.length === 0 ? "so already" : "upgraded"}: sequence ${sequence}, endorsed by ${policy}, enclaves of version ${version}`,
    );
  });
}

function numbers(text: string): readonly number[] {
  const found = text.split(",").map(wholeNumber);
  if (new Set(found).size < found.length) throw new InvalidArgumentError("an organisation is named twice.");
  return found;
}
