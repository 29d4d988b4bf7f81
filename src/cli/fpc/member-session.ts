import { type Command, Option } from "commander";
import type { FabricMember } from "../../enclave/operator/fabric-member.ts";
import type { Member } from "../../enclave/operator/member.ts";
import type { TrialMember } from "../../enclave/operator/trial-member.ts";
import type { TrialNetwork } from "../../enclave/operator/trial-network.ts";
import type { EnclaveAgent } from "../../enclave/stub/agent.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { tell } from "../output.ts";
import { inNetwork, type OrganisationOptions, withOrganisation } from "./network-session.ts";
import { tellingRefusals } from "./refusal.ts";

/** For commands that work on a trial network as on a channel of Fabric. */
export interface MemberOptions extends OrganisationOptions {
  readonly connection?: string;
}

export interface EnclaveOptions extends MemberOptions {
  readonly enclave: string;
}

export function withMember(command: Command): Command {
  return withOrganisation(command).addOption(
    new Option("--connection <file>", "a channel of Fabric: this organisation's connection settings").conflicts([
      "folder",
      "org",
    ]),
  );
}

export function withEnclave(command: Command): Command {
  return withMember(command).option("--enclave <name>", "the enclave's name at its organisation's host", "main");
}

/** What a command works on: opened for it alone, and closed when it is done. */
export type MemberSession =
  | { readonly member: FabricMember; readonly network: undefined }
  /** A trial network, whose organisations are all at hand. */
  | { readonly member: TrialMember; readonly network: TrialNetwork };

/** Works as a member; the key managers of its enclaves are told afterwards where these stand. */
export async function asMember<T>(options: MemberOptions, use: (session: MemberSession) => Promise<T>): Promise<T> {
  return await openMember(options, async (session) => {
    const result = await use(session);
    const { reportEnclaves } = await import("../../enclave/operator/report-enclaves.ts");
    for (const problem of await reportEnclaves(session.member)) tell(problem);
    return result;
  });
}

/** The same without the key managers' notice, for what changes no enclave. */
export async function openMember<T>(options: MemberOptions, use: (session: MemberSession) => Promise<T>): Promise<T> {
  if (options.connection !== undefined)
    return await onFabric(options.connection, (member) => use({ member, network: undefined }));
  return await inNetwork(options, async (network) => {
    const { TrialMember } = await import("../../enclave/operator/trial-member.ts");
    return await use({ member: await TrialMember.open(network, network.organisation(options.org)), network });
  });
}

/** Works as an organisation of a channel of Fabric. @param connection - The file of its connection settings */
export async function onFabric<T>(connection: string, use: (member: FabricMember) => Promise<T>): Promise<T> {
  const { FabricMember } = await import("../../enclave/operator/fabric-member.ts");
  return await tellingRefusals(async () => {
    await using member = await FabricMember.open(connection);
    return await use(member);
  });
}

/**
 * @param chaincodeId - As a command names it
 * @throws CommandFailure there is no such chaincode, or the enclave was not created
 */
export async function withAgent<T>(
  options: EnclaveOptions,
  use: (session: MemberSession & { readonly agent: EnclaveAgent }) => Promise<T>,
  chaincodeId?: string,
): Promise<T> {
  return await asMember(options, async (session) => {
    const { member } = session;
    if (chaincodeId !== undefined) requireChaincode(member, chaincodeId);
    if (!member.enclaves().includes(options.enclave))
      throw new CommandFailure(
        exitCodes.usage,
        `${member.mspId} has no enclave ${options.enclave}`,
        `strongroom fpc enclave create ${placeOf(options)} --enclave ${options.enclave}`,
      );
    await using agent = await member.agent(options.enclave);
    return await use({ ...session, agent });
  });
}

/** A command names the private chaincode as the diagram does; a network or connection has one. */
export function requireChaincode({ client }: Member, chaincodeId: string): void {
  if (chaincodeId !== client.chaincodeId)
    throw new CommandFailure(
      exitCodes.usage,
      `the channel has no private chaincode ${chaincodeId}`,
      `its private chaincode is ${client.chaincodeId}`,
    );
}

function placeOf({ connection, org }: MemberOptions): string {
  return connection === undefined ? `--org ${org}` : `--connection ${connection}`;
}
