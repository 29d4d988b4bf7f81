import { endorsingOrganisations } from "../ercc/endorsement-policy.ts";
import { EnclaveError } from "../errors.ts";
import { formatPolicy } from "../ledger/policy-text.ts";
import { EndorsementPolicy } from "../ledger/signature-policy.ts";
import type { Policy } from "../messages/generated/fpc/policy_pb.ts";
import { organisationOf } from "../protocol/policy.ts";
import type { Installation } from "./installation.ts";
import type { RegistryClient } from "./registry-client.ts";
import type { TrialNetwork } from "./trial-network.ts";
import { requireEndorsers, type UpgradeState, type UpgradeTarget } from "./upgrade-plan.ts";

/** Where enclaves of other code get the keys. */
export interface KeySource {
  /** Whose enclaves hold them. */
  readonly oldInstallation?: Installation | undefined;
  /** Where that installation is gone: out of the recovery shares on the ledger. */
  readonly recover?: boolean;
}

/**
 * What can be known before anything is changed: afterwards there is no way back, as enclaves go to no lower sequence.
 *
 * @throws EnclaveError SETTINGS_INVALID: an endorsement policy that names others, or that no peers meet; another installation's
 *   enclaves are asked for, or none that could hand the keys on; NOT_FOUND: no recovery shares; POLICY_DENIED: an endorsement policy
 *   that cannot be judged, or that enclaves with the keys do not meet
 */
export async function checkUpgrade(
  network: TrialNetwork,
  client: RegistryClient,
  state: UpgradeState,
  target: UpgradeTarget,
  source: KeySource,
): Promise<void> {
  const everybody = network.organisations.map(({ mspId }) => mspId);
  checkEndorsement(target.endorsement, state.policy, everybody);
  if (target.version !== network.measurement)
    throw new EnclaveError(
      "SETTINGS_INVALID",
      `${network.chaincodeId} is for enclaves of version ${target.version}, and this installation runs those of ${network.measurement} only`,
      { hint: "call the installation of that version; or upgrade to this one's code: --code --old-installation DIR" },
    );
  const keyState = await client.keyState();
  if (keyState === undefined) return;
  const holders = state.enclaves.filter(({ isProvisioned }) => isProvisioned);
  const { version: next, sequence } = target;
  requireEndorsers(
    holders.map((one) => ({ ...one, version: next, sequence })),
    target,
  );
  const isHeld = holders.some(({ version }) => version === target.version);
  if (!isHeld) await checkSource(client, keyState.active, new Set(holders.map(({ version }) => version)), source);
}

/** @throws EnclaveError SETTINGS_INVALID: it names others than the policy document, or no peers meet it; POLICY_DENIED: it cannot be judged */
export function checkEndorsement(endorsement: Uint8Array, policy: Policy, everybody: readonly string[]): void {
  for (const mspId of endorsingOrganisations(endorsement))
    if (organisationOf(policy, mspId) === undefined || !everybody.includes(mspId))
      throw new EnclaveError(
        "SETTINGS_INVALID",
        `the endorsement policy names ${mspId}, which the policy document does not`,
        { hint: `its organisations are ${policy.organisations.map((one) => one.mspId).join(", ")}` },
      );
  if (new EndorsementPolicy(endorsement, everybody).fewestOf(everybody) === undefined)
    throw new EnclaveError("SETTINGS_INVALID", `no peers of the organisations meet ${formatPolicy(endorsement)}`, {
      hint: "name principals of role peer or member",
    });
}

/** @param versions - Of the enclaves that hold the keys, none of which this installation can open */
async function checkSource(
  client: RegistryClient,
  active: bigint,
  versions: ReadonlySet<string>,
  { oldInstallation, recover }: KeySource,
): Promise<void> {
  const hint =
    "name the installation of that version by --old-installation; where it is gone, --recover brings the keys back from recovery shares, if they were issued; else they are lost, and a new network has to be made";
  if (recover) {
    if ((await client.recovery(active)) !== undefined) return;
    throw new EnclaveError("NOT_FOUND", `no recovery shares of generation ${active} were issued`, { hint });
  }
  if (oldInstallation !== undefined && versions.has(oldInstallation.measurement)) return;
  const held = [...versions].join(", ");
  throw new EnclaveError(
    "SETTINGS_INVALID",
    oldInstallation === undefined
      ? `the keys of ${client.chaincodeId} are held by enclaves of version ${held}, and this installation cannot open what they sealed`
      : `${oldInstallation.folder} has enclaves of version ${oldInstallation.measurement}, and those that hold the keys are of ${held}`,
    { hint },
  );
}
