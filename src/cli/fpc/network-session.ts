import { type Command, InvalidArgumentError } from "commander";
import type { RegistryClient } from "../../enclave/operator/registry-client.ts";
import type { TrialNetwork } from "../../enclave/operator/trial-network.ts";
import type { TrialOrganisation } from "../../enclave/operator/trial-organisation.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { tell } from "../output.ts";
import { tellingRefusals } from "./refusal.ts";

export const defaultFolder = "./fpc-network";

export interface NetworkOptions {
  readonly folder: string;
}

export interface OrganisationOptions extends NetworkOptions {
  readonly org: number;
}

export function withFolder(command: Command): Command {
  return command.option("--folder <dir>", "the trial network's folder", defaultFolder);
}

export function withOrganisation(command: Command): Command {
  return withFolder(command).option("--org <number>", "act as this organisation's admin: 1, 2, …", wholeNumber, 1);
}

export function wholeNumber(text: string): number {
  return wholeNumberTo(9999)(text);
}

/** Reads a whole number from 1 to `most`, which has up to four digits. */
export function wholeNumberTo(most: number): (text: string) => number {
  return (text) => {
    if (!/^[1-9][0-9]{0,3}$/.test(text) || Number(text) > most)
      throw new InvalidArgumentError(`a whole number from 1 to ${most} was expected.`);
    return Number(text);
  };
}

/** What a command works on: opened for it alone, and closed when it is done. */
export interface OrganisationSession {
  readonly network: TrialNetwork;
  readonly organisation: TrialOrganisation;
  readonly client: RegistryClient;
}

/** What goes well on a network of another version says so afterwards; what does not says it by its refusal. */
export async function inNetwork<T>({ folder }: NetworkOptions, use: (network: TrialNetwork) => Promise<T>): Promise<T> {
  const { TrialNetwork } = await import("../../enclave/operator/trial-network.ts");
  return await tellingRefusals(async () => {
    await using network = await TrialNetwork.open(folder);
    const result = await use(network);
    const { mismatch } = network;
    if (mismatch !== undefined) tell(`${mismatch.message}: ${mismatch.hint}`);
    return result;
  });
}

export async function asOrganisation<T>(
  options: OrganisationOptions,
  use: (session: OrganisationSession) => Promise<T>,
): Promise<T> {
  return await inNetwork(options, async (network) => {
    const organisation = network.organisation(options.org);
    return await use({ network, organisation, client: await network.client(organisation) });
  });
}

/** A command names the private chaincode as the diagram does; a trial network has one. */
export function checkChaincode(network: TrialNetwork, chaincodeId: string | undefined): void {
  if (chaincodeId !== undefined && chaincodeId !== network.chaincodeId)
    throw new CommandFailure(
      exitCodes.usage,
      `the network has no private chaincode ${chaincodeId}`,
      `its private chaincode is ${network.chaincodeId}`,
    );
}
