import { recordNames } from "../ercc/records.ts";
import { EnclaveError } from "../errors.ts";
import { decodeArgument } from "../messages/argument.ts";
import {
  type GenerationRecord,
  GenerationRecordSchema,
  SignedExportMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import { readEnclaveId } from "../protocol/enclave-id.ts";
import { readExport } from "../protocol/export.ts";
import { hasMajority, readProposal } from "../protocol/generation.ts";
import { type Awaited, type AwaitedFacts, organisationsOf, shortId } from "./awaited-step.ts";
import type { RegistryClient } from "./registry-client.ts";
import type { ChaincodeStatus, EnclaveRow } from "./status.ts";
import { unheldKeys } from "./unheld-keys.ts";

/** What a chaincode waits for, and of whom, by what the ledger says; nothing where all is done. */
export async function awaitedOf(client: RegistryClient, status: ChaincodeStatus): Promise<readonly Awaited[]> {
  const { chaincodeId } = client;
  const generationRecord = async (number: number | undefined): Promise<GenerationRecord | undefined> => {
    if (number === undefined) return undefined;
    const bytes = await client.record(recordNames.generation(chaincodeId, BigInt(number)));
    return bytes === undefined ? undefined : decodeArgument(GenerationRecordSchema, bytes.toString("latin1"));
  };
  const [policy, active, proposed] = await Promise.all([
    client.policy(),
    generationRecord(status.activeGeneration),
    generationRecord(status.proposedGeneration),
  ]);
  const open = [active, proposed].flatMap((one) => (one === undefined ? [] : [Buffer.from(one.chaincodeEk)]));
  const exported = new Map<string, number>();
  for (const { id } of status.enclaves.filter((one) => lacksOpenKeys(one, status))) {
    const message = await client.keyExport(id).catch((error: unknown) => {
      if (error instanceof EnclaveError && error.code === "NOT_FOUND") return undefined;
      throw error;
    });
    if (message === undefined) continue;
    const { generation, chaincodeEk } = readExport(decodeStrict(SignedExportMessageSchema, message));
    // Of keys that were proposed once and came to nothing there may be one as well.
    if (open.some((ek) => ek.equals(chaincodeEk))) exported.set(id, Number(generation));
  }
  const proposer = proposerOf(proposed, status.enclaves);
  return stepsAwaited(status, { policy, proposer, abandonVotes: proposed?.abandonVotes ?? [], exported });
}

/** The same by facts that are at hand. */
export function stepsAwaited(status: ChaincodeStatus, facts: AwaitedFacts): readonly Awaited[] {
  const attesting = attestations(status, facts);
  const steps = [...attesting];
  if (status.activeGeneration === undefined) steps.push(...firstKeys(status, facts));
  else if (status.proposedGeneration !== undefined)
    steps.push(...confirmations(status, facts, status.proposedGeneration));
  else {
    const holders = organisationsOf(
      status.enclaves.filter((one) => one.state === "provisioned" && one.generation === status.activeGeneration),
    );
    if (holders.length > 0) steps.push(...keysInForce(status, facts, status.activeGeneration, holders));
    else steps.push(...unheldKeys(status, facts, status.activeGeneration, attesting));
  }
  return steps;
}

/** How far a proposed generation is: who counts, and who of them has confirmed it. */
export function confirmationsOf(status: ChaincodeStatus): {
  readonly voters: readonly EnclaveRow[];
  readonly confirmed: readonly EnclaveRow[];
  /** More than half of the enclaves, of more than half of their organisations. */
  readonly isEnough: boolean;
} {
  const voters = status.enclaves.filter(({ state }) => state === "provisioned");
  const confirmed = voters.filter(({ id }) => status.confirmedBy.includes(id));
  const [ids, having] = [(row: EnclaveRow) => row.id, (row: EnclaveRow) => row.mspId];
  const isEnough = [ids, having].every((one) => hasMajority(confirmed.map(one), voters.map(one), new Set()));
  return { voters, confirmed, isEnough };
}

function firstKeys({ enclaves }: ChaincodeStatus, { policy }: AwaitedFacts): readonly Awaited[] {
  const ready = organisationsOf(enclaves.filter(({ state }) => state === "registered"));
  if (ready.length > 0)
    return [{ of: ready, command: "keys generate", enclave: undefined, why: "the chaincode has no keys yet" }];
  const of = policy.organisations.map(({ mspId }) => mspId);
  return [{ of, command: "enclave create", enclave: undefined, why: "the chaincode has no enclave yet" }];
}

function confirmations(status: ChaincodeStatus, facts: AwaitedFacts, proposed: number): readonly Awaited[] {
  const { voters, confirmed, isEnough } = confirmationsOf(status);
  const missing = voters.filter((one) => !confirmed.includes(one));
  const waiting = missing.filter(({ id }) => facts.exported.get(id) === proposed);
  const steps: Awaited[] = [];
  const members = facts.policy.organisations.map(({ mspId }) => mspId);
  if (isEnough)
    steps.push({
      of: members,
      command: "keys rotate --phase activate",
      enclave: undefined,
      why: `enough enclaves have confirmed generation ${proposed}`,
    });
  if (waiting.length < missing.length && facts.proposer !== undefined)
    steps.push({
      of: [facts.proposer],
      command: "keys rotate --phase propose",
      enclave: undefined,
      why: `generation ${proposed} is not exported to ${missing.length - waiting.length} of the enclaves yet`,
    });
  for (const { id, mspId } of waiting)
    steps.push({ of: [mspId], command: "keys import", enclave: id, why: `it confirms generation ${proposed}` });
  const { abandonVotes, policy, proposer } = facts;
  if (abandonVotes.length > 0)
    steps.push({
      of: members.filter((mspId) => !abandonVotes.includes(mspId)),
      command: "keys rotate --phase abandon",
      enclave: undefined,
      why: `${abandonVotes.join(", ")} want generation ${proposed} to end: ${policy.threshold} organisations end it, or ${proposer ?? "its proposer"}`,
    });
  return steps;
}

/** @param holders - Organisations whose enclaves have the keys in force, and may use them. */
function keysInForce(
  status: ChaincodeStatus,
  facts: AwaitedFacts,
  active: number,
  holders: readonly string[],
): readonly Awaited[] {
  if (status.mustRotate) {
    const why = "an enclave was revoked: until then nothing is written or exported";
    return [{ of: holders, command: "keys rotate --phase propose", enclave: undefined, why }];
  }
  const steps: Awaited[] = [];
  for (const { id, mspId } of status.enclaves.filter((one) => lacksOpenKeys(one, status)))
    steps.push(
      facts.exported.get(id) === active
        ? { of: [mspId], command: "keys import", enclave: id, why: `generation ${active} was exported to it` }
        : {
            of: holders,
            command: `keys export --to ${shortId(id)}`,
            enclave: undefined,
            why: `that one has no keys of generation ${active}`,
          },
    );
  if (facts.policy.recoveryThreshold > 0 && status.recoveryThreshold === undefined)
    steps.push({
      of: holders,
      command: "keys share",
      enclave: undefined,
      why:
        status.recoveryIssues.length === 0
          ? `generation ${active} has no recovery shares`
          : `generation ${active} has no recovery shares for the organisations of policy ${status.policyNumber}`,
    });
  return steps;
}

/** Enclaves that do not go along endorse nothing once the definition is there. */
function attestations({ enclaves, definition }: ChaincodeStatus, { policy }: AwaitedFacts): readonly Awaited[] {
  const { successor } = policy;
  if (successor === undefined || successor.version !== definition.version) return [];
  return enclaves
    .filter(({ state, measurement, sequence }) => {
      return state !== "revoked" && measurement === successor.version && sequence < Number(successor.sequence);
    })
    .map(({ id, mspId }) => ({
      of: [mspId],
      command: `enclave attest --sequence ${successor.sequence}`,
      enclave: id,
      why: "it is of an earlier sequence",
    }));
}

/** Whether an enclave that may hold the keys does not hold the newest that there are. */
function lacksOpenKeys({ id, state, generation }: EnclaveRow, status: ChaincodeStatus): boolean {
  if (state === "revoked" || state === "former") return false;
  const { activeGeneration, proposedGeneration, confirmedBy } = status;
  if (proposedGeneration !== undefined) return !confirmedBy.includes(id);
  return activeGeneration !== undefined && generation !== activeGeneration;
}

function proposerOf(record: GenerationRecord | undefined, enclaves: readonly EnclaveRow[]): string | undefined {
  if (record?.proposal === undefined) return undefined;
  const { proposerEnclaveId } = readProposal(record.proposal);
  const { text } = readEnclaveId(proposerEnclaveId, "GenerationProposalMessage.proposer_enclave_id");
  return enclaves.find(({ id }) => id === text)?.mspId;
}
