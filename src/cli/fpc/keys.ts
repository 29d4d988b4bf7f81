import { Command, Option } from "commander";
import type { RegistryClient } from "../../enclave/operator/registry-client.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, withJson } from "../output.ts";
import { resolveEnclave } from "./find-enclave.ts";
import { asMember, type EnclaveOptions, withAgent, withEnclave } from "./member-session.ts";
import { recoveryCommands } from "./recovery.ts";
import { revokeCommand } from "./revoke.ts";

export function keysCommand(): Command {
  const keys = new Command("keys").description(
    "the chaincode's keys: generate, export, import, rotate, revoke, share, release, recover",
  );
  keys.addCommand(
    withJson(withEnclave(new Command("generate")))
      .description("have an enclave make the chaincode's first keys, and register them")
      .option("--discard", "drop keys that lost the race to be the first, so that the chaincode's can be imported")
      .action(generate),
  );
  keys.addCommand(
    withJson(withEnclave(new Command("export")))
      .description("have an enclave encrypt the keys to others that have none, and put the exports on the ledger")
      .option("--to <id>", "one enclave, by its id or the first digits; left out: every one without keys")
      .action(exportCommand),
  );
  keys.addCommand(
    withJson(withEnclave(new Command("import")))
      .description("have an enclave take the keys that were exported to it, and register that it holds them")
      .action(importCommand),
  );
  keys.addCommand(rotateCommand());
  keys.addCommand(revokeCommand());
  for (const command of recoveryCommands()) keys.addCommand(command);
  return keys;
}

function rotateCommand(): Command {
  return withJson(withEnclave(new Command("rotate")))
    .description("bring a new generation of the keys into force, in two phases")
    .addOption(
      new Option("--phase <phase>", "one step alone: propose, activate, or abandon what is proposed").choices([
        "propose",
        "activate",
        "abandon",
      ]),
    )
    .addHelpText(
      "after",
      `
The enclave proposes a generation and exports it to the others that hold the keys; each confirms it (\`keys import\`); when more
than half have, it is activated. Without --phase all of it is done, as every host of a trial network is in its folder.
On Fabric each phase is a command of its own, and \`strongroom fpc status\` shows whose turn it is.`,
    )
    .action(rotate);
}

async function generate(options: EnclaveOptions & OutputOptions & { discard?: boolean }): Promise<void> {
  await withAgent(options, async ({ member: { client }, agent }) => {
    const provisioning = await import("../../enclave/operator/provisioning.ts");
    if (options.discard) {
      const discarded = await provisioning.giveWay(agent);
      printData(options, { discarded: discarded.map(Number) }, () => `discarded generation ${discarded.join(", ")}`);
      return;
    }
    await provisioning.generate(client, agent);
    const enclave = provisioning.ownId(agent);
    const { generationOf } = await import("../../enclave/operator/status.ts");
    // Called again later, the first generation may not be the one in force any more.
    const [state, held] = await Promise.all([client.keyState(), generationOf(client, enclave)]);
    const generation = Number(state?.active ?? 1n);
    printData(options, { enclave, generation, listedFor: held ?? null }, () =>
      held === generation
        ? `generation ${generation} of ${client.chaincodeId}'s keys is in force, in enclave ${enclave}`
        : `generation ${generation} of ${client.chaincodeId}'s keys is in force; enclave ${enclave} is ${held === undefined ? "not listed for any" : `listed for generation ${held}`}`,
    );
  });
}

async function exportCommand(options: EnclaveOptions & OutputOptions & { to?: string }): Promise<void> {
  await withAgent(options, async (session) => {
    const { exportKeys } = await import("../../enclave/operator/provisioning.ts");
    const receivers = options.to === undefined ? undefined : [(await resolveEnclave(session.member, options.to)).id];
    const exported = await exportKeys(session.member.client, session.agent, receivers);
    printData(options, exported, (list) =>
      list.map(({ receiverId, mspId }) => `exported to ${receiverId} of ${mspId}`).join("\n"),
    );
  });
}

async function importCommand(options: EnclaveOptions & OutputOptions): Promise<void> {
  await withAgent(options, async ({ member: { client }, agent }) => {
    const { importKeys, ownId } = await import("../../enclave/operator/provisioning.ts");
    await importKeys(client, agent);
    const enclave = ownId(agent);
    const confirmed = await confirmedProposal(client, enclave);
    printData(options, { enclave, ...(confirmed !== undefined && { confirmed }) }, () =>
      confirmed === undefined
        ? `enclave ${enclave} holds the keys of ${client.chaincodeId}`
        : `enclave ${enclave} holds generation ${confirmed} of ${client.chaincodeId}'s keys, which is proposed: that confirms it`,
    );
  });
}

/** The proposed generation, where the ledger lists an enclave as one that holds it. */
async function confirmedProposal(client: RegistryClient, enclave: string): Promise<number | undefined> {
  const proposed = (await client.keyState())?.proposed ?? 0n;
  if (proposed === 0n || !(await client.confirmations(proposed)).includes(enclave)) return undefined;
  return Number(proposed);
}

async function rotate(options: EnclaveOptions & OutputOptions & { phase?: string }): Promise<void> {
  const { abandonRotation, activateRotation, proposeRotation } = await import("../../enclave/operator/rotation.ts");
  const { phase } = options;
  if (phase === "activate") {
    await asMember(options, async ({ member: { client } }) => {
      const generation = Number(await activateRotation(client));
      printData(options, { generation, state: "active" }, () => `generation ${generation} is in force`);
    });
    return;
  }
  if (phase === "abandon") {
    await asMember(options, async ({ member: { client } }) => {
      const { generation, ended } = await abandonRotation(client);
      printData(options, { generation: Number(generation), state: ended ? "abandoned" : "proposed" }, () =>
        ended
          ? `generation ${generation} is abandoned`
          : `${client.mspId} calls for the end of generation ${generation}: as many organisations as the policy's threshold have to`,
      );
    });
    return;
  }
  await withAgent(options, async ({ network, member: { client }, agent }) => {
    if (network === undefined && phase === undefined)
      throw new CommandFailure(
        exitCodes.usage,
        "on Fabric a rotation is done in its two phases, as the other organisations' enclaves are not at hand",
        "--phase propose, then keys import at the others, then --phase activate: strongroom fpc status shows whose turn it is",
      );
    const { generation, exported } = await proposeRotation(client, agent);
    if (network === undefined || phase === "propose") {
      printData(options, { generation: Number(generation), exported }, () =>
        [
          `generation ${generation} is proposed`,
          ...exported.map((one) => `exported to ${one.receiverId} of ${one.mspId}`),
        ].join("\n"),
      );
      return;
    }
    const { confirmByAll } = await import("../../enclave/operator/trial-rotation.ts");
    const confirmed = await confirmByAll(
      network,
      exported.map(({ receiverId }) => receiverId),
    );
    await activateRotation(client);
    printData(options, { generation: Number(generation), confirmed }, () =>
      [`generation ${generation} is in force`, ...confirmed.map((id) => `confirmed by ${id}`)].join("\n"),
    );
  });
}
