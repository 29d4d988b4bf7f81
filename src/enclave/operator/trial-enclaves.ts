import { recordTypes } from "../ercc/registry-state.ts";
import { EnclaveError } from "../errors.ts";
import { EndorsementPolicy } from "../ledger/signature-policy.ts";
import type { Stub } from "../stub/stub.ts";
import type { Installation } from "./installation.ts";
import { exportKeys, importKeys, registerEnclave, registerKeys } from "./provisioning.ts";
import { recoverKeys, releaseOwnShares } from "./recovery.ts";
import type { RegistryClient } from "./registry-client.ts";
import { generationOf } from "./status.ts";
import { TrialMember } from "./trial-member.ts";
import type { TrialNetwork } from "./trial-network.ts";
import type { TrialOrganisation } from "./trial-organisation.ts";
import { type HostedEnclave, successorName, type UpgradeTarget } from "./upgrade-plan.ts";

/** The enclaves at all hosts of a trial network that the ledger has registered and not revoked. */
export async function hostedEnclaves(network: TrialNetwork, client: RegistryClient): Promise<readonly HostedEnclave[]> {
  const [registered, revocations, keyState] = await Promise.all([
    client.enclaves(),
    client.revocations(),
    client.keyState(),
  ]);
  const sequences = new Map(registered.map(({ enclaveId, ccParams }) => [enclaveId.text, ccParams.sequence]));
  for (const { enclaveId } of revocations) sequences.delete(hex(enclaveId));
  const hosted: HostedEnclave[] = [];
  for (const organisation of network.organisations)
    for (const name of organisation.enclaves(network.chaincodeId)) {
      const header = network.sealedHeader(organisation, name);
      const id = hex(header?.enclaveId ?? []);
      const onLedger = sequences.get(id);
      if (header === undefined || onLedger === undefined) continue;
      const sequence = header.sequence < onLedger ? header.sequence : onLedger;
      const { measurement: version } = header;
      const generation = await generationOf(client, id);
      const isProvisioned = keyState !== undefined && generation === Number(keyState.active);
      hosted.push({ mspId: organisation.mspId, name, id, version, sequence, isProvisioned });
    }
  return hosted;
}

/** What an endorsement policy wants of enclaves, and which are there. */
export interface Endorsing {
  readonly enclaves: readonly HostedEnclave[];
  /** Whether they meet the policy: else they are all that could. */
  readonly isEnough: boolean;
  /** How many organisations the policy wants at least. */
  readonly organisationsNeeded: number;
}

/**
 * One enclave of each of as few organisations as meet the chaincode's endorsement policy, that hold the keys, may endorse and can be run here.
 *
 * @throws EnclaveError POLICY_DENIED: the chaincode is defined for enclaves of another installation
 */
export async function endorsingEnclaves(network: TrialNetwork, client: RegistryClient): Promise<Endorsing> {
  const { ledger, chaincodeId, measurement } = network;
  if (network.mismatch !== undefined) throw network.mismatch;
  const definition = ledger.definition(chaincodeId);
  if (definition === undefined) throw new EnclaveError("NOT_FOUND", `the channel has no chaincode ${chaincodeId}`);
  const policy = new EndorsementPolicy(definition.validationParameter, ledger.mspIds);
  const ready = new Map<string, HostedEnclave>();
  for (const one of await hostedEnclaves(network, client)) {
    if (!one.isProvisioned || one.version !== measurement || ready.has(one.mspId)) continue;
    if (await client.canEndorse(one.id)) ready.set(one.mspId, one);
  }
  const fewest = policy.fewestOf([...ready.keys()]);
  return {
    enclaves: [...ready.values()].filter(({ mspId }) => fewest === undefined || fewest.includes(mspId)),
    isEnough: fewest !== undefined,
    organisationsNeeded: policy.fewestOf(ledger.mspIds)?.length ?? ledger.mspIds.length,
  };
}

/** Has an enclave attest for a later sequence of the definition, and brings what it attests to the ledger. */
export async function moveToSequence(
  network: TrialNetwork,
  { mspId, name }: HostedEnclave,
  sequence: bigint,
): Promise<void> {
  const organisation = network.organisationOf(mspId);
  const client = await network.client(organisation);
  await using stub = await network.stub(client, organisation, name);
  await registerEnclave(client, await stub.attestAgain(sequence));
}

export interface InheritanceOptions {
  readonly oldInstallation?: Installation | undefined;
  readonly recover?: boolean;
}

/** Enclaves in the place of those of other code: made at the same hosts, with the chaincode's keys. */
export class InheritedKeys {
  readonly #network: TrialNetwork;
  readonly #target: UpgradeTarget;
  readonly #releasing: readonly TrialOrganisation[];
  readonly #options: InheritanceOptions;

  /** @param releasing - Organisations that release their recovery shares, where keys are recovered */
  constructor(
    network: TrialNetwork,
    target: UpgradeTarget,
    releasing: readonly TrialOrganisation[],
    options: InheritanceOptions,
  ) {
    this.#network = network;
    this.#target = target;
    this.#releasing = releasing;
    this.#options = options;
  }

  /** Called again after whatever interruption, it goes on. @returns The enclave that takes the place of `former` */
  async succeed(former: HostedEnclave): Promise<{ readonly id: string; readonly name: string }> {
    const organisation = this.#network.organisationOf(former.mspId);
    const client = await this.#network.client(organisation);
    const name = successorName(former.name, this.#target.sequence);
    const keyManagers = organisation.keyManagers(this.#network.chaincodeId);
    keyManagers.choose(name, keyManagers.of(former.name));
    await using stub = await this.#network.stub(client, organisation, name);
    const id = await registerEnclave(
      client,
      await stub.initEnclave(await this.#network.creation(client, organisation)),
    );
    if (!(await client.isProvisioned(id))) await this.#give(client, stub, id, former);
    return { id, name };
  }

  async #give(client: RegistryClient, stub: Stub, id: string, former: HostedEnclave): Promise<void> {
    const { enclave } = await stub.status();
    if (enclave !== undefined && enclave.generations.length > 0) {
      await registerKeys(client, stub, await stub.reEmitRegistration());
      return;
    }
    const holder = (await hostedEnclaves(this.#network, client)).find(
      ({ isProvisioned, version, sequence }) =>
        isProvisioned && version === this.#target.version && sequence === this.#target.sequence,
    );
    if (holder === undefined && this.#options.recover) await this.#recover(client, stub, id);
    else {
      if (!(await this.#isExported(client, id))) await this.#export(holder ?? former, id);
      await importKeys(client, stub);
    }
  }

  /** Put on the ledger before an interruption. */
  async #isExported(client: RegistryClient, id: string): Promise<boolean> {
    const name = { type: recordTypes.exported, attributes: [this.#network.chaincodeId, id] };
    return (await client.record(name)) !== undefined;
  }

  async #export({ mspId, name, version }: HostedEnclave, receiverId: string): Promise<void> {
    const organisation = this.#network.organisationOf(mspId);
    const client = await this.#network.client(organisation);
    const old = version === this.#target.version ? undefined : this.#options.oldInstallation;
    await using stub = await this.#network.stub(client, organisation, name, old);
    await exportKeys(client, stub, [receiverId]);
  }

  async #recover(client: RegistryClient, stub: Stub, id: string): Promise<void> {
    for (const organisation of this.#releasing) {
      const member = await TrialMember.open(this.#network, organisation);
      await releaseOwnShares(member.client, member.view(), member.keys(), id);
    }
    await recoverKeys(client, stub);
  }
}

function hex(bytes: Uint8Array | readonly number[]): string {
  return Buffer.from(bytes).toString("hex").toUpperCase();
}
