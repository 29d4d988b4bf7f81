import { EnclaveError } from "../../errors.ts";
import { makeGenesisBlock } from "../channel-config.ts";
import type { Organisation, Role } from "../membership.ts";
import { writeIdentity } from "./identities.ts";
import { type LedgerFolder, writeFileDurably } from "./ledger-folder.ts";

export const ordererMspId = "OrdererMSP";
const mspIdPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const channelIdPattern = /^[a-z][a-z0-9.-]{0,248}$/;
const maxPeers = 16;
/** Who endorses is found by trying sets of organisations. */
const maxOrganisations = 16;

export interface NewLedger {
  /** Made; has to be empty where it is there. */
  readonly folder: string;
  /** Lower-case letters, digits, `.` and `-`, a letter first. */
  readonly channelId: string;
  readonly organisations: readonly { readonly mspId: string; readonly peers: number }[];
}

/** @throws EnclaveError SETTINGS_INVALID */
export function checkNewLedger({ channelId, organisations }: NewLedger): void {
  if (!channelIdPattern.test(channelId))
    throw new EnclaveError(
      "SETTINGS_INVALID",
      "a channel's name has lower-case letters, digits, `.` and `-`, a letter first",
    );
  const names = new Set(organisations.map(({ mspId }) => mspId));
  if (organisations.length === 0 || names.size !== organisations.length || names.has(ordererMspId))
    throw new EnclaveError(
      "SETTINGS_INVALID",
      `a channel has organisations of distinct names, none of them ${ordererMspId}`,
    );
  if (organisations.length > maxOrganisations)
    throw new EnclaveError("SETTINGS_INVALID", `a channel has at most ${maxOrganisations} organisations`);
  for (const { mspId, peers } of organisations)
    if (!mspIdPattern.test(mspId) || !Number.isInteger(peers) || peers < 1 || peers > maxPeers)
      throw new EnclaveError("SETTINGS_INVALID", `an organisation has a plain name and 1 to ${maxPeers} peers`);
}

/** Makes the identities of a channel, and last its first block. */
export async function foundLedger(folder: LedgerFolder, { channelId, organisations }: NewLedger): Promise<void> {
  const members: Organisation[] = [];
  for (const { mspId, peers } of organisations) {
    const root = await newOrganisation(folder, mspId, {
      admin: "admin",
      client: "client",
      ...Object.fromEntries(Array.from({ length: peers }, (_, index) => [`peer${index}`, "peer"] as const)),
    });
    members.push({ mspId, roots: [root] });
  }
  const ordererRoot = await newOrganisation(folder, ordererMspId, { orderer: "orderer" });
  const orderers = [{ mspId: ordererMspId, roots: [ordererRoot] }];
  const config = { channelId, organisations: members, orderers, timestampMs: Date.now() };
  writeFileDurably(folder.genesisBlock, makeGenesisBlock(config));
}

/** @returns PEM of its root */
async function newOrganisation(
  folder: LedgerFolder,
  mspId: string,
  members: Readonly<Record<string, Role>>,
): Promise<string> {
  const { OrganisationAuthority } = await import("./organisation-authority.ts");
  const { authority, certificate, privateKey } = await OrganisationAuthority.create(mspId);
  using ca = disposing({ certificate, privateKey });
  writeIdentity(folder.identity(mspId, "ca"), ca);
  for (const [name, role] of Object.entries(members)) {
    using issued = disposing(await authority.issue({ commonName: `${name}.${mspId}`, units: [role] }));
    writeIdentity(folder.identity(mspId, name), issued);
  }
  return certificate;
}

/** Wipes the key at the end of a scope. */
export function disposing<T extends { readonly privateKey: Disposable }>(issued: T): T & Disposable {
  return { ...issued, [Symbol.dispose]: () => issued.privateKey[Symbol.dispose]() };
}
