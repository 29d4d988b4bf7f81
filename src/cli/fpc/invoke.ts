import { Command } from "commander";
import type { RegistryClient } from "../../enclave/operator/registry-client.ts";
import type { TrialNetwork } from "../../enclave/operator/trial-network.ts";
import type { Stub } from "../../enclave/stub/stub.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, withJson } from "../output.ts";
import { asOrganisation, checkChaincode, type OrganisationOptions, withOrganisation } from "./network-session.ts";

export function invokeCommand(): Command {
  return withJson(withOrganisation(new Command("invoke")))
    .description("call the confidential chaincode: its enclaves alone see the arguments")
    .argument("<chaincode>", "the private chaincode")
    .argument("<transaction>", "such as create, submit, close, eval")
    .argument("[args...]")
    .addHelpText(
      "after",
      `
On a trial network: enclaves of as many organisations as endorse it run it, and peers take over what they wrote alike. Its
chaincode is a sealed-bid auction: create NAME, submit NAME AMOUNT, close NAME (by who created it), eval NAME.`,
    )
    .action(invoke);
}

async function invoke(
  chaincode: string,
  transaction: string,
  args: string[],
  options: OrganisationOptions & OutputOptions,
): Promise<void> {
  await asOrganisation(options, async ({ network, organisation, client }) => {
    checkChaincode(network, chaincode);
    const { callConfidentially } = await import("../../enclave/operator/confidential-call.ts");
    const identity = network.ledger.identity(organisation.mspId, "admin");
    await using stubs = new AsyncDisposableStack();
    const endorsing = await openEndorsing(network, client, stubs);
    const { status, message, payload, txId } = await callConfidentially(client, identity, endorsing, [
      transaction,
      ...args,
    ]);
    if (status !== 200)
      throw new CommandFailure(exitCodes.refused, `${chaincode} refused: ${message} (status ${status})`);
    const answer = payload.toString("utf8");
    printData(options, { status, answer, txId }, () => answer);
  });
}

/** Enclaves that together meet the chaincode's endorsement policy. */
async function openEndorsing(
  network: TrialNetwork,
  client: RegistryClient,
  stack: AsyncDisposableStack,
): Promise<readonly Stub[]> {
  const { endorsingEnclaves } = await import("../../enclave/operator/trial-enclaves.ts");
  const { enclaves, isEnough, organisationsNeeded } = await endorsingEnclaves(network, client);
  if (!isEnough)
    throw new CommandFailure(
      exitCodes.refused,
      `enclaves of ${organisationsNeeded} organisations have to run ${network.chaincodeId}, and ${enclaves.length} hold its keys and may endorse`,
      "strongroom fpc status shows who endorses; strongroom fpc keys export, then keys import at the others",
    );
  const opened: Stub[] = [];
  for (const { mspId, name } of enclaves) {
    const organisation = network.organisationOf(mspId);
    opened.push(stack.use(await network.stub(await network.client(organisation), organisation, name)));
  }
  return opened;
}
