import {
  enclaveIdPattern,
  enclaveMeasurementPattern,
  enclaveNamePattern,
  type ReportedEnclave,
} from "../../custody/contract/enclaves.ts";
import type { AuditRecord, Caller, CustodyService } from "../../custody/service.ts";

/** Uses of enclaves' keys that are looked at for the last of each, at a time and so often; one time is of up to 20,000 records. */
const maxUses = 1000;
const maxSearches = 3;
const maxUnreported = 200;
/** What an enclave's context says it asks for (docs/formats.md). */
const enclaveKeyPurpose = "enclave-key";

/** An enclave by what its host said last of it, and by the key manager's own record of its key. */
export interface EnclaveInView {
  readonly enclave: string;
  /** Of the node that spoke or asked for it. */
  readonly node: string;
  readonly organisation: string;
  readonly channel: string;
  readonly chaincode: string;
  readonly measurement: string;
  /** Of that node at this moment; null where there is no such node any more. */
  readonly hostState: ReportedEnclave["hostState"] | null;
  /** Null: its host has told nothing of it; what else is known is what it asked under. */
  readonly reported: Pick<ReportedEnclave, "state" | "generation" | "reportedAt"> | null;
  /** The newest use of its key among those that were looked at; null when there is none. */
  readonly lastKeyUse: Pick<AuditRecord, "at" | "peer" | "result" | "error" | "sequence"> | null;
}

export interface EnclavesInView {
  readonly enclaves: readonly EnclaveInView[];
  /** Since when the chain was looked at for uses of keys; null for all of it. */
  readonly usesSince: string | null;
}

type Asked = Pick<CustodyService, "enclaves" | "audit" | "nodes">;

/** Every part is asked of custody as the caller, who must be allowed to read it. */
export async function enclavesInView(custody: Asked, caller: Caller): Promise<EnclavesInView> {
  const [reported, { records, since }] = await Promise.all([custody.enclaves.list(caller), findUses(custody, caller)]);
  const uses = usesOf(records);
  const told = reported.map((each): EnclaveInView => {
    const { state, generation, reportedAt, ...names } = each;
    const id = idOf(names);
    const use = uses.get(id);
    uses.delete(id);
    return { ...names, reported: { state, generation, reportedAt }, lastKeyUse: use?.lastKeyUse ?? null };
  });
  const untold = await withHostStates(custody, caller, [...uses.values()].slice(0, maxUnreported));
  return {
    enclaves: [...told, ...untold].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1)),
    usesSince: since,
  };
}

/** The list of nodes leaves a record, so it is asked for where there is something to say by it alone. */
async function withHostStates(
  { nodes }: Asked,
  caller: Caller,
  enclaves: readonly Omit<EnclaveInView, "hostState">[],
): Promise<readonly EnclaveInView[]> {
  if (enclaves.length === 0) return [];
  const states = new Map((await nodes.list(caller)).map(({ name, state }) => [name, state]));
  return enclaves.map((each) => ({ ...each, hostState: states.get(each.node) ?? null }));
}

/** The newest uses, and the time of the oldest record that was looked at where that was not the chain's first. */
async function findUses(
  { audit }: Asked,
  caller: Caller,
): Promise<{ readonly records: readonly AuditRecord[]; readonly since: string | null }> {
  const records: AuditRecord[] = [];
  let next: number | null = null;
  for (let searches = 0; searches < maxSearches; searches++) {
    const wanted = { action: "kms:Decrypt", purpose: enclaveKeyPurpose, order: "newest", limit: maxUses } as const;
    const page = await audit.search(caller, next === null ? wanted : { ...wanted, cursor: next });
    records.push(...page.records);
    next = page.next;
    if (next === null) return { records, since: null };
  }
  const [oldest] = await audit.read(caller, { after: (next ?? 1) - 1, limit: 1 });
  return { records, since: oldest?.at ?? null };
}

/** The newest use of each enclave's key by each node, refused ones too: what a start looks like that was not allowed. */
function usesOf(records: readonly AuditRecord[]): Map<string, Omit<EnclaveInView, "hostState">> {
  const found = new Map<string, Omit<EnclaveInView, "hostState">>();
  for (const record of records) {
    const node = /:node\/([^/]+)$/.exec(record.principal)?.[1];
    const names = namesIn(record.context);
    if (node === undefined || names === undefined) continue;
    const { at, peer, result, error, sequence } = record;
    const use = { node, ...names, reported: null, lastKeyUse: { at, peer, result, error, sequence } };
    if (!found.has(idOf(use))) found.set(idOf(use), use);
  }
  return found;
}

/** A context is the caller's to choose: what does not name an enclave by all its names is not shown as one. */
function namesIn(context: AuditRecord["context"]) {
  if (context === null) return undefined;
  const { enclave, organisation, channel, chaincode, measurement } = context;
  const names = { enclave, organisation, channel, chaincode, measurement };
  return isNamed(names) ? names : undefined;
}

type Names = Pick<EnclaveInView, "enclave" | "organisation" | "channel" | "chaincode" | "measurement">;

function isNamed(names: { readonly [K in keyof Names]: string | undefined }): names is Names {
  const { enclave = "", measurement = "", organisation, channel, chaincode } = names;
  return (
    enclaveIdPattern.test(enclave) &&
    enclaveMeasurementPattern.test(measurement) &&
    [organisation, channel, chaincode].every((name) => enclaveNamePattern.test(name ?? ""))
  );
}

function idOf({ node, enclave }: { readonly node: string; readonly enclave: string }): string {
  return `${node}/${enclave}`;
}
