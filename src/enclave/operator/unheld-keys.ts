import { type Awaited, type AwaitedFacts, organisationsOf, shortId } from "./awaited-step.ts";
import type { ChaincodeStatus, EnclaveRow } from "./status.ts";

/**
 * What is awaited where no enclave that may use it holds the generation in force. Nobody can rotate, export or share it then: the
 * ways to it are enclaves that were left behind, an export that lies on the ledger, and recovery.
 *
 * @param attesting - Steps that are awaited before: enclaves that attest again.
 */
export function unheldKeys(
  status: ChaincodeStatus,
  facts: AwaitedFacts,
  active: number,
  attesting: readonly Awaited[],
): readonly Awaited[] {
  const left = status.enclaves.filter(({ state, generation }) => state === "former" && generation === active);
  // An enclave that attests again holds its keys as before.
  if (left.some(({ id }) => attesting.some(({ enclave }) => enclave === id))) return [];
  const moving = left.filter(({ measurement }) => measurement === status.definition.version);
  if (moving.length > 0) {
    const why = `all enclaves that hold generation ${active} are of an earlier sequence than the definition`;
    return [anyOf(organisationsOf(moving), `chaincode upgrade ${status.chaincodeId}`, why)];
  }
  const able = status.enclaves.filter(({ state }) => state === "registered" || state === "provisioned");
  const importing = able.filter(({ id }) => facts.exported.get(id) === active);
  if (importing.length > 0) {
    const why = `generation ${active} was exported to it, and no other enclave of the definition holds it`;
    return importing.map(({ id, mspId }) => ({ of: [mspId], command: "keys import", enclave: id, why }));
  }
  // After a revocation enclaves export nothing more of it.
  if (left.length > 0 && !status.mustRotate) return inherited(status, facts, active, left, able);
  return recovered(status, facts, active, able);
}

/** Enclaves of other code hand the keys on to the policy's successor, and to no other (decision 0612). */
function inherited(
  { definition }: ChaincodeStatus,
  { policy }: AwaitedFacts,
  active: number,
  left: readonly EnclaveRow[],
  able: readonly EnclaveRow[],
): readonly Awaited[] {
  const members = policy.organisations.map(({ mspId }) => mspId);
  const { successor, allowedVersions } = policy;
  const held = `only enclaves of other code hold generation ${active}`;
  const senders = left.filter(({ measurement }) => allowedVersions.includes(measurement));
  if (successor?.version !== definition.version || senders.length === 0) {
    const named = `the successor ${definition.sequence} of version ${definition.version}, and allows the version of theirs`;
    return [anyOf(members, "policy set", `${held}: they export it under a policy document that names ${named}`)];
  }
  const heirs = able.filter(
    ({ measurement, sequence }) => measurement === successor.version && sequence === Number(successor.sequence),
  );
  if (heirs.length === 0) return [anyOf(members, "enclave create", `${held}: a new one is to inherit it`)];
  const of = organisationsOf(senders);
  return heirs.map(({ id }) => anyOf(of, `keys export --to ${shortId(id)}`, `${held}: that one is to inherit it`));
}

function recovered(
  { recoveryIssues }: ChaincodeStatus,
  { policy }: AwaitedFacts,
  active: number,
  able: readonly EnclaveRow[],
): readonly Awaited[] {
  const members = policy.organisations.map(({ mspId }) => mspId);
  const unheld = `no enclave holds generation ${active}`;
  if (recoveryIssues.length === 0) return [anyOf([], undefined, `${unheld}, and no recovery shares of it were issued`)];
  const [first, ...others] = able;
  if (first === undefined)
    return [anyOf(members, "enclave create", `${unheld}: a new one is to put it together from recovery shares`)];
  const only = others.length === 0 ? first.id : undefined;
  // A policy that wants no shares does not do away with those that were issued before it.
  const many = policy.recoveryThreshold > 0 ? `at least ${policy.recoveryThreshold}` : "as many as the shares ask for";
  const needed = `${many} of the organisations release theirs to one enclave`;
  return [
    anyOf(members, `keys release ${only === undefined ? "ID" : shortId(only)}`, `${unheld}: ${needed}`),
    {
      of: organisationsOf(able),
      command: "keys recover",
      enclave: only,
      why: "once the shares are released to it",
    },
  ];
}

function anyOf(of: readonly string[], command: string | undefined, why: string): Awaited {
  return { of, command, enclave: undefined, why };
}
