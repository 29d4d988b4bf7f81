import { Command, Option } from "commander";
import { type OutputOptions, printData, tell, withJson } from "../output.ts";
import { findEnclave } from "./enclave.ts";
import {
  asOrganisation,
  type EnclaveOptions,
  type OrganisationOptions,
  type OrganisationSession,
  withEnclave,
  withOrganisation,
  withStub,
} from "./network-session.ts";

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
  keys.addCommand(
    withJson(withOrganisation(new Command("revoke").argument("<id>", "the enclave's id, or its first digits")))
      .description("put an enclave out: until the keys are rotated nothing is written or exported")
      .requiredOption("--reason <text>", "why, for the ledger")
      .option("--together", "by a statement that every organisation signs, for another organisation's enclave")
      .action(revoke),
  );
  keys.addCommand(
    withJson(withEnclave(new Command("share")))
      .description("have an enclave issue recovery shares of the active keys to the organisations")
      .action(share),
  );
  keys.addCommand(
    withJson(
      withOrganisation(new Command("release").argument("<id>", "the receiving enclave's id, or its first digits")),
    )
      .description("let an enclave have the organisation's recovery share")
      .action(release),
  );
  keys.addCommand(
    withJson(withEnclave(new Command("recover")))
      .description(
        "have an enclave put the keys together from the shares released to it, and register that it holds them",
      )
      .action(recover),
  );
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
than half have, it is activated. Without --phase all of it is done, as every host of a trial network is in its folder.`,
    )
    .action(rotate);
}

async function generate(options: EnclaveOptions & OutputOptions & { discard?: boolean }): Promise<void> {
  await withStub(options, async ({ client, stub }) => {
    const provisioning = await import("../../enclave/operator/provisioning.ts");
    if (options.discard) {
      const discarded = await provisioning.giveWay(stub);
      printData(options, { discarded: discarded.map(Number) }, () => `discarded generation ${discarded.join(", ")}`);
      return;
    }
    await provisioning.generate(client, stub);
    const enclave = provisioning.ownId(stub);
    printData(
      options,
      { enclave, generation: 1 },
      () => `generation 1 of ${client.chaincodeId}'s keys is in force, in enclave ${enclave}`,
    );
  });
}

async function exportCommand(options: EnclaveOptions & OutputOptions & { to?: string }): Promise<void> {
  await withStub(options, async (session) => {
    const { exportKeys } = await import("../../enclave/operator/provisioning.ts");
    const receivers = options.to === undefined ? undefined : [await resolveId(session, options.to)];
    const exported = await exportKeys(session.client, session.stub, receivers);
    printData(options, exported, (list) =>
      list.map(({ receiverId, mspId }) => `exported to ${receiverId} of ${mspId}`).join("\n"),
    );
  });
}

async function importCommand(options: EnclaveOptions & OutputOptions): Promise<void> {
  await withStub(options, async ({ client, stub }) => {
    const { importKeys, ownId } = await import("../../enclave/operator/provisioning.ts");
    await importKeys(client, stub);
    const enclave = ownId(stub);
    printData(options, { enclave }, () => `enclave ${enclave} holds the keys of ${client.chaincodeId}`);
  });
}

async function rotate(options: EnclaveOptions & OutputOptions & { phase?: string }): Promise<void> {
  const { abandonRotation, activateRotation, proposeRotation } = await import("../../enclave/operator/rotation.ts");
  const { phase } = options;
  if (phase === "activate" || phase === "abandon") {
    await asOrganisation(options, async ({ client }) => {
      const generation = Number(await (phase === "activate" ? activateRotation : abandonRotation)(client));
      printData(options, { generation, state: phase === "activate" ? "active" : "abandoned" }, () =>
        phase === "activate" ? `generation ${generation} is in force` : `generation ${generation} is abandoned`,
      );
    });
    return;
  }
  await withStub(options, async ({ network, client, stub }) => {
    const { generation, exported } = await proposeRotation(client, stub);
    if (phase === "propose") {
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

async function revoke(
  id: string,
  options: OrganisationOptions & OutputOptions & { reason: string; together?: boolean },
): Promise<void> {
  await asOrganisation(options, async (session) => {
    const { network, client } = session;
    const { revokeOwn, revokeTogether } = await import("../../enclave/operator/revocation.ts");
    const enclaveId = await resolveId(session, id);
    if (options.together) {
      const signers = new Map(network.organisations.map((one) => [one.mspId, one.keys().policyKey]));
      await revokeTogether(client, enclaveId, options.reason, signers);
    } else await revokeOwn(client, enclaveId, options.reason);
    printData(options, { revoked: enclaveId }, () => `enclave ${enclaveId} is revoked`);
    tell("until the keys are rotated (strongroom fpc keys rotate) nothing is written or exported");
  });
}

async function share(options: EnclaveOptions & OutputOptions): Promise<void> {
  await withStub(options, async ({ client, stub }) => {
    const { issueShares } = await import("../../enclave/operator/recovery.ts");
    const generation = Number(await issueShares(client, stub));
    const { recoveryThreshold, organisations } = await client.policy();
    const issued = { generation, shares: organisations.length, threshold: recoveryThreshold };
    printData(
      options,
      issued,
      () => `${issued.shares} shares of generation ${generation} are issued; ${issued.threshold} recover it`,
    );
  });
}

async function release(id: string, options: OrganisationOptions & OutputOptions): Promise<void> {
  await asOrganisation(options, async (session) => {
    const { releaseOwnShare } = await import("../../enclave/operator/recovery.ts");
    const receiver = await resolveId(session, id);
    await releaseOwnShare(session.client, session.organisation.keys(), receiver);
    printData(
      options,
      { releasedBy: session.organisation.mspId, receiver },
      () => `${session.organisation.mspId} released its share to ${receiver}`,
    );
  });
}

async function recover(options: EnclaveOptions & OutputOptions): Promise<void> {
  await withStub(options, async ({ client, stub }) => {
    const { recoverKeys } = await import("../../enclave/operator/recovery.ts");
    const { ownId } = await import("../../enclave/operator/provisioning.ts");
    await recoverKeys(client, stub);
    const enclave = ownId(stub);
    printData(options, { enclave }, () => `enclave ${enclave} has recovered the keys of ${client.chaincodeId}`);
  });
}

async function resolveId({ client }: OrganisationSession, digits: string): Promise<string> {
  const { chaincodeStatus } = await import("../../enclave/operator/status.ts");
  return findEnclave((await chaincodeStatus(client)).enclaves, digits).id;
}
