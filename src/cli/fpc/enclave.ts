import { Command } from "commander";
import type { ChaincodeStatus, EnclaveRow } from "../../enclave/operator/status.ts";
import { type OutputOptions, printData, table, withJson } from "../output.ts";
import { findEnclave } from "./find-enclave.ts";
import { chooseKeyManager, type KeyManagerOptions, withKeyManager } from "./key-manager-options.ts";
import {
  asMember,
  type EnclaveOptions,
  type MemberOptions,
  openMember,
  withAgent,
  withEnclave,
  withMember,
} from "./member-session.ts";
import { wholeNumber } from "./network-session.ts";

export function enclaveCommand(): Command {
  const enclave = new Command("enclave").description("enclaves: create, list, show, attest, measure");
  enclave.addCommand(
    withJson(withKeyManager(withEnclave(new Command("create"))))
      .description(
        "create an enclave at an organisation's host and register it; its keys come by `keys generate` or `import`",
      )
      .action(create),
  );
  enclave.addCommand(
    withJson(withEnclave(new Command("attest")))
      .description("have an enclave attest for a later sequence of the chaincode's definition, which the policy names")
      .requiredOption(
        "--sequence <number>",
        "of the definition that is to follow, as the policy's successor has it",
        wholeNumber,
      )
      .action(attest),
  );
  enclave.addCommand(
    withJson(withMember(new Command("measure")))
      .description("the measurement of the enclave that this host would create: the chaincode's version")
      .action(measure),
  );
  enclave.addCommand(
    withJson(withMember(new Command("list")))
      .description("the enclaves that the ledger has")
      .action((options: MemberOptions & OutputOptions) =>
        printStatus(options, ({ enclaves }) => enclaves, enclaveTable),
      ),
  );
  enclave.addCommand(
    withJson(withMember(new Command("show").argument("<id>", "the enclave's id, or its first digits")))
      .description("what the ledger has of one enclave")
      .action((id: string, options: MemberOptions & OutputOptions) =>
        printStatus(options, ({ enclaves }) => findEnclave(enclaves, id), enclaveLines),
      ),
  );
  return enclave;
}

async function create(options: EnclaveOptions & KeyManagerOptions & OutputOptions): Promise<void> {
  await asMember(options, async ({ member }) => {
    const { registerEnclave } = await import("../../enclave/operator/provisioning.ts");
    // Before anything of it is written: what the ledger does not allow leaves nothing behind.
    const creation = await member.creation();
    await chooseKeyManager(member, options);
    await using agent = await member.agent(options.enclave);
    const credentials = await agent.initEnclave(creation);
    const id = await registerEnclave(member.client, credentials);
    const { measurement, tee } = await agent.status();
    const made = { id, organisation: member.mspId, name: options.enclave, tee, measurement };
    printData(options, made, () => `enclave ${id} of ${member.mspId} is created and registered`);
  });
}

async function attest(options: EnclaveOptions & OutputOptions & { sequence: number }): Promise<void> {
  await withAgent(options, async ({ member, agent }) => {
    const { registerEnclave } = await import("../../enclave/operator/provisioning.ts");
    const id = await registerEnclave(member.client, await agent.attestAgain(BigInt(options.sequence)));
    const { sequence } = options;
    printData(options, { id, sequence }, () => `enclave ${id} is registered for sequence ${sequence}`);
  });
}

async function measure(options: MemberOptions & OutputOptions): Promise<void> {
  await openMember(options, async ({ member }) =>
    printData(options, await member.measure(), ({ measurement }) => measurement),
  );
}

async function printStatus<T>(
  options: MemberOptions & OutputOptions,
  select: (status: ChaincodeStatus) => T,
  render: (value: T) => string,
): Promise<void> {
  await asMember(options, async ({ member: { client } }) => {
    const { chaincodeStatus } = await import("../../enclave/operator/status.ts");
    printData(options, select(await chaincodeStatus(client)), render);
  });
}

export function enclaveTable(enclaves: readonly EnclaveRow[]): string {
  if (enclaves.length === 0) return "no enclave is registered";
  return table(
    ["ENCLAVE", "ORGANISATION", "MEASUREMENT", "STATE", "GENERATION"],
    enclaves.map(({ id, mspId, measurement, state, generation }) => [
      id.slice(0, 16),
      mspId,
      measurement.slice(0, 16),
      state,
      generation === undefined ? "-" : `${generation}`,
    ]),
  );
}

function enclaveLines(enclave: EnclaveRow): string {
  const { id, mspId, endpoint, measurement, sequence, state, generation, revokedBecause } = enclave;
  return [
    `enclave       ${id}`,
    `organisation  ${mspId}`,
    `peer          ${endpoint}`,
    `measurement   ${measurement}`,
    `sequence      ${sequence}`,
    `state         ${state}${revokedBecause === undefined ? "" : `: ${revokedBecause}`}`,
    `generation    ${generation ?? "none"}`,
  ].join("\n");
}
