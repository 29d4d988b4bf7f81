import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { formatPolicy } from "../ledger/policy-text.ts";
import { SuccessorSchema } from "../messages/generated/fpc/policy_pb.ts";
import { bringIntoForce, nextPolicy, type PolicySigners } from "./policies.ts";
import { hostedEnclaves, InheritedKeys, moveToSequence } from "./trial-enclaves.ts";
import type { TrialNetwork } from "./trial-network.ts";
import type { TrialOrganisation } from "./trial-organisation.ts";
import { checkUpgrade, type KeySource } from "./upgrade-checks.ts";
import {
  enclavesBehind,
  hasTarget,
  isClosed,
  isOfOneEnclave,
  planUpgrade,
  requireEndorsers,
  targetOf,
  type UpgradeState,
  type UpgradeTarget,
  type UpgradeWish,
} from "./upgrade-plan.ts";

export interface TrialUpgradeInput extends UpgradeWish, KeySource {
  /** Organisations that sign the policies and approve the definition. @defaultValue all */
  readonly by?: readonly TrialOrganisation[];
  /** Told of each thing that was done. */
  readonly told?: (what: string) => void;
}

export interface TrialUpgraded extends UpgradeTarget {
  /** In the order in which it was done; nothing where all was so already. */
  readonly done: readonly string[];
  /** Enclaves that could not be seen to, by their ids. */
  readonly leftBehind: readonly string[];
}

/**
 * Step 12 of the document: the chaincode's definition gets the next sequence, with another endorsement policy or for other code
 * (decisions 0612 and 0624). The organisations' policy names the successor; enclaves attest for its sequence, or new ones are
 * made and inherit the keys; the definition is approved and committed; a policy that names no successor and allows the new
 * version alone ends it. Each step looks at the ledger, and goes on where a call before was ended.
 *
 * @throws EnclaveError BAD_SIGNATURE: too few sign the policy; POLICY_DENIED: no majority approves, or the enclaves that have the keys do not
 *   meet the endorsement policy; CONFLICT: another upgrade was begun; SETTINGS_INVALID: nobody can open what enclaves of the former
 *   version sealed; what ERCC, the lifecycle or enclaves refuse with
 */
export async function upgradeChaincode(network: TrialNetwork, input: TrialUpgradeInput): Promise<TrialUpgraded> {
  return await new TrialUpgrade(network, input).run();
}

class TrialUpgrade {
  readonly #network: TrialNetwork;
  readonly #input: TrialUpgradeInput;
  readonly #by: readonly TrialOrganisation[];
  readonly #done: string[] = [];
  readonly #leftBehind: string[] = [];

  constructor(network: TrialNetwork, input: TrialUpgradeInput) {
    this.#network = network;
    this.#input = input;
    this.#by = input.by ?? network.organisations;
  }

  async run(): Promise<TrialUpgraded> {
    const before = await this.#state();
    const target = targetOf(before.definition, before.policy, this.#input);
    const steps = planUpgrade(before, target);
    if (steps.length > 0) await checkUpgrade(this.#network, await this.#client(), before, target, this.#input);
    for (const step of steps)
      switch (step) {
        case "successor":
          await this.#nameSuccessor(target);
          break;
        case "enclaves":
          await this.#seeToEnclaves(target);
          break;
        case "definition":
          await this.#define(target);
          break;
        case "closing":
          await this.#close(target);
      }
    return { ...target, done: this.#done, leftBehind: this.#leftBehind };
  }

  async #nameSuccessor({ version, sequence }: UpgradeTarget): Promise<void> {
    const client = await this.#client();
    const policy = await client.policy();
    const successor = create(SuccessorSchema, { version, sequence });
    const next = nextPolicy(policy, { allowedVersions: policy.allowedVersions, successor });
    await bringIntoForce(client, next, this.#signers());
    this.#tell(`policy ${next.number} names the successor: sequence ${sequence}, version ${version}`);
  }

  async #seeToEnclaves(target: UpgradeTarget): Promise<void> {
    const { enclaves } = await this.#state();
    const keys = new InheritedKeys(this.#network, target, this.#by, this.#input);
    // Those of the same code first: from them others inherit.
    const [moving, succeeded] = [true, false].map((isSame) =>
      enclavesBehind(enclaves, target).filter(({ version }) => (version === target.version) === isSame),
    );
    for (const enclave of [...(moving ?? []), ...(succeeded ?? [])]) {
      const { mspId, version, name } = enclave;
      try {
        if (version === target.version) {
          await moveToSequence(this.#network, enclave, target.sequence);
          this.#tell(`enclave ${enclave.id} of ${mspId} has attested for sequence ${target.sequence}`);
        } else {
          const made = await keys.succeed(enclave);
          this.#tell(`enclave ${made.id} of ${mspId} (${made.name}) holds the keys in the place of ${name}`);
        }
      } catch (error) {
        if (!isOfOneEnclave(error)) throw error;
        this.#leftBehind.push(enclave.id);
        this.#tell(`enclave ${enclave.id} of ${mspId} stays behind: ${error.code}: ${error.message}`);
      }
    }
  }

  async #define(target: UpgradeTarget): Promise<void> {
    const { ledger, chaincodeId } = this.#network;
    const { version, sequence, endorsement } = target;
    if ((await (await this.#client()).keyState()) !== undefined)
      requireEndorsers((await this.#state()).enclaves, target);
    const approvedBy = this.#by.map(({ mspId }) => mspId);
    await ledger.define(chaincodeId, { version, sequence, policy: endorsement }, approvedBy);
    this.#tell(
      `definition ${sequence} is committed: ${formatPolicy(endorsement)}, approved by ${approvedBy.join(", ")}`,
    );
  }

  async #close(target: UpgradeTarget): Promise<void> {
    const client = await this.#client();
    const { definition, policy } = await this.#state();
    if (!hasTarget(definition, target) || isClosed(policy, target)) return;
    const next = nextPolicy(policy, { allowedVersions: [target.version], successor: undefined });
    await bringIntoForce(client, next, this.#signers());
    this.#tell(`policy ${next.number} allows version ${target.version} alone`);
  }

  async #state(): Promise<UpgradeState> {
    const { chaincodeId, ledger } = this.#network;
    const client = await this.#client();
    const definition = ledger.definition(chaincodeId);
    if (definition === undefined) throw new EnclaveError("NOT_FOUND", `the channel has no chaincode ${chaincodeId}`);
    return { definition, policy: await client.policy(), enclaves: await hostedEnclaves(this.#network, client) };
  }

  #client() {
    const [first] = this.#by;
    if (first === undefined) throw new EnclaveError("SETTINGS_INVALID", "an upgrade takes at least one organisation");
    return this.#network.client(first);
  }

  #signers(): PolicySigners {
    return new Map(this.#by.map((one) => [one.mspId, one.keys().policyKey]));
  }

  #tell(what: string): void {
    this.#done.push(what);
    this.#input.told?.(what);
  }
}
