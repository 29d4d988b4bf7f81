import { Command } from "commander";
import type { RegistryClient } from "../../enclave/operator/registry-client.ts";
import type { TrialNetwork } from "../../enclave/operator/trial-network.ts";
import type { Stub } from "../../enclave/stub/stub.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, withJson } from "../output.ts";
import { type MemberOptions, openMember, requireChaincode, withMember } from "./member-session.ts";

export function invokeCommand(): Command {
  return withJson(withMember(new Command("invoke")))
    .description("call the confidential chaincode: its enclaves alone see the arguments")
    .argument("<chaincode>", "the private chaincode")
    .argument("<transaction>", "such as create, submit, close, eval")
    .argument("[args...]", "what the transaction takes; a name or amount that begins with - after --")
    .option("--enclave <name>", "on Fabric: the own host's enclave (default: main)")
    .addHelpText(
      "after",
      `
Enclaves of as many organisations as endorse it run it, and peers take over what they wrote alike. The chaincode of a trial
network is a sealed-bid auction: create NAME, submit NAME AMOUNT, close NAME (by who created it), eval NAME.
On Fabric the own enclave, where its host is this one, and those beside the other organisations' peers answer.`,
    )
    .action(invoke);
}

async function invoke(
  chaincode: string,
  transaction: string,
  args: string[],
  options: MemberOptions & OutputOptions & { enclave?: string },
): Promise<void> {
  const { connection, enclave = "main" } = options;
  if (connection === undefined && options.enclave !== undefined)
    throw new CommandFailure(
      exitCodes.usage,
      "a trial network's own enclaves are chosen by the endorsement policy",
      "leave out --enclave",
    );
  await openMember(options, async ({ member, network }) => {
    const { client, identity } = member;
    requireChaincode(member, chaincode);
    const { callConfidentially } = await import("../../enclave/operator/confidential-call.ts");
    const { answersByPolicy } = await import("../../enclave/operator/answers-by-policy.ts");
    await using stack = new AsyncDisposableStack();
    const view = member.view();
    const answering =
      network === undefined
        ? answersByPolicy(client, (mspId) => member.answering(mspId, enclave), stack, view)
        : await openEndorsing(network, client, stack);
    const words = [transaction, ...args];
    const { status, message, payload, txId } = await callConfidentially(client, identity, answering, words, { view });
    if (status !== 200)
      throw new CommandFailure(
        exitCodes.refused,
        `${chaincode} refused: ${message} (status ${status})`,
        status === 400 ? "strongroom fpc invoke --help shows its transactions and their arguments" : undefined,
      );
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
      (await client.keyState()) === undefined
        ? `it has no keys yet: strongroom fpc lifecycle chaincode initEnclave ${network.chaincodeId} makes an enclave, and in it the keys`
        : "strongroom fpc status shows who endorses; strongroom fpc keys export, then keys import at the others",
    );
  const opened: Stub[] = [];
  for (const { mspId, name } of enclaves) {
    const organisation = network.organisationOf(mspId);
    opened.push(stack.use(await network.stub(await network.client(organisation), organisation, name)));
  }
  return opened;
}
