import { EnclaveError } from "../errors.ts";
import type { EnclaveAgent } from "../stub/agent.ts";
import { type Exported, exportKeys, inheritors, ownId, registerKeys } from "./provisioning.ts";
import type { RegistryClient } from "./registry-client.ts";

export interface Proposed {
  readonly generation: bigint;
  /** To whom it was exported; each confirms it by importing. */
  readonly exported: readonly Exported[];
}

/**
 * The first phase of a rotation: this enclave makes the next generation, with the active one wrapped under it, proposes it on
 * the ledger, confirms it for itself, and exports it to every other enclave that holds the keys and is not revoked. Called again
 * after an interruption, it goes on with the same generation.
 *
 * @throws EnclaveError NOT_PROVISIONED; CONFLICT: another proposal stands; what the enclave or ERCC refuse with
 */
export async function proposeRotation(client: RegistryClient, stub: EnclaveAgent): Promise<Proposed> {
  const own = ownId(stub);
  const before = await client.keyState();
  const proposal = await stub.proposeGeneration();
  if (before !== undefined && before.proposed === 0n)
    await client.submit("proposeGeneration", client.chaincodeId, proposal);
  const generation = (await client.keyState())?.proposed ?? 0n;
  if (generation === 0n)
    throw new EnclaveError("CONFLICT", `the proposal for ${client.chaincodeId} has ended already: look at its state`);
  const confirmed = await client.confirmations(generation);
  if (!confirmed.includes(own)) await registerKeys(client, stub, await stub.reEmitRegistration(generation));
  const holders = new Set(await client.provisioned());
  const missing = (await client.enclaves()).filter(({ enclaveId: { text } }) => text !== own && holders.has(text));
  // Enclaves that an upgrade left behind get no more keys.
  const receivers = (await inheritors(client, own, missing))
    .map(({ enclaveId }) => enclaveId.text)
    .filter((id) => !confirmed.includes(id));
  return { generation, exported: await exportKeys(client, stub, receivers, generation) };
}

/**
 * The second phase: the proposed generation comes into force, once more than half of the enclaves that hold the former one have
 * confirmed it (they import it, as the first). An activation whose outcome was not told, or that another organisation makes at the
 * same moment, is a success where the ledger has the generation in force; a later call is refused.
 *
 * @returns Its number
 * @throws EnclaveError NOT_FOUND: none is proposed, and which generation is in force; POLICY_DENIED: too few have confirmed it
 */
export async function activateRotation(client: RegistryClient): Promise<bigint> {
  const generation = await requireProposed(client);
  await client.submit("activateGeneration", client.chaincodeId, `${generation}`).catch(async (error: unknown) => {
    const state = await client.keyState().catch(() => undefined);
    if (state?.active !== generation) throw error;
  });
  return generation;
}

export interface Abandoned {
  readonly generation: bigint;
  /** False: it takes the calls of more organisations, up to the policy's threshold. */
  readonly ended: boolean;
}

/** Ends a proposal that is not to come into force, or calls for its end where another organisation has proposed it. */
export async function abandonRotation(client: RegistryClient): Promise<Abandoned> {
  const generation = await requireProposed(client);
  await client.submit("abandonGeneration", client.chaincodeId, `${generation}`);
  return { generation, ended: (await client.keyState())?.proposed !== generation };
}

async function requireProposed(client: RegistryClient): Promise<bigint> {
  const { active = 0n, proposed = 0n } = (await client.keyState()) ?? {};
  if (proposed > 0n) return proposed;
  const inForce = active === 0n ? "it has no keys yet" : `generation ${active} is in force`;
  throw new EnclaveError("NOT_FOUND", `no generation of ${client.chaincodeId} is proposed: ${inForce}`);
}
