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
Enclaves of as many organisations as endorse it run it, and peers take over what they wrote alike. The chaincode of a trial
network is a sealed-bid auction: create NAME, submit NAME AMOUNT, close NAME (by who created it), eval NAME.`,
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

/** An enclave of each of as many organisations as endorse the chaincode: a majority in a trial network. */
async function openEndorsing(
  network: TrialNetwork,
  client: RegistryClient,
  stack: AsyncDisposableStack,
): Promise<readonly Stub[]> {
  const { ownId } = await import("../../enclave/operator/provisioning.ts");
  const provisioned = new Set(await client.provisioned());
  const needed = Math.floor(network.organisations.length / 2) + 1;
  const opened: Stub[] = [];
  for (const organisation of network.organisations) {
    if (opened.length === needed) break;
    const own = await network.client(organisation);
    for (const name of organisation.enclaves(network.chaincodeId)) {
      const stub = stack.use(await network.stub(own, organisation, name));
      if (!stub.created || !provisioned.has(ownId(stub))) continue;
      opened.push(stub);
      break;
    }
  }
  if (opened.length < needed)
    throw new CommandFailure(
      exitCodes.refused,
      `enclaves of ${needed} organisations have to run ${network.chaincodeId}, and ${opened.length} hold its keys`,
      "strongroom fpc keys export, then keys import at the others",
    );
  return opened;
}
