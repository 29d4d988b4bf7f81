import type { GrantOnKey } from "../../custody/contract/grants.ts";
import type { LeaseDescription } from "../../custody/contract/leases.ts";
import type {
  AuditRecord,
  Caller,
  CustodyService,
  KeyDescription,
  PrincipalDescription,
} from "../../custody/service.ts";

/** Keys that are shown of each node, and unwraps that are looked through for the last of each. */
const maxProtections = 50;
const maxUnwraps = 1000;
const maxNodesOverAws = 200;
/** What a launcher's context says it asks for (docs/nodes.md). */
const dataKeyPurpose = "node-data-key";

/** A key that a node may use by a grant. */
export interface Protection {
  readonly keyId: string;
  readonly aliases: readonly string[];
  readonly state: string;
  readonly grantId: string;
  readonly operations: readonly string[];
  readonly notAfter: string | null;
}

export interface NodeInView extends PrincipalDescription {
  /** The first fifty. */
  readonly protections: readonly Protection[];
  readonly protectionsInAll: number;
  /** The newest unwrap among the last thousand; null when there is none of this node's. */
  readonly lastUnwrap: Pick<AuditRecord, "at" | "peer" | "result" | "error" | "sequence"> | null;
  /** What holds it to the key manager's word; null when no key was released to it. */
  readonly lease: LeaseDescription | null;
}

export interface NodesInView {
  readonly nodes: readonly NodeInView[];
  /** When the oldest unwrap that was looked at happened; null when all were. */
  readonly unwrapsSince: string | null;
  /** Since when the chain was looked at for leases; null for all of it. */
  readonly leasesSince: string | null;
  /** Nodes that ask at the AWS door, as the unwraps that were looked at tell of them. */
  readonly nodesOverAws: readonly NodeOverAws[];
}

/**
 * A node that takes its data key from the AWS door: no principal of its own, but named in the context under which its
 * launcher asks. Whether it runs under a lease, the AWS KMS API has no words for: only its last unwrap is known.
 */
export interface NodeOverAws {
  readonly node: string;
  readonly network: string;
  /** Who asked for it: ARN of the integration's user. */
  readonly principal: string;
  readonly lastUnwrap: NonNullable<NodeInView["lastUnwrap"]>;
}

/**
 * Nodes, the keys that protect what is theirs (their grants), and when each last unwrapped. Every part is asked of custody
 * as the caller, who must be allowed to read it.
 */
export async function nodesInView(custody: CustodyService, caller: Caller): Promise<NodesInView> {
  const [nodes, keys, grants, unwraps, leases] = await Promise.all([
    custody.nodes.list(caller),
    custody.keys.list(caller),
    custody.grants.listAll(caller),
    custody.audit.search(caller, { action: "kms:Decrypt", order: "newest", limit: maxUnwraps }),
    custody.leases.list(caller),
  ]);
  const encrypting = new Map(keys.filter(({ usage }) => usage === "encrypt").map((key) => [key.keyId, key]));
  const held = Map.groupBy(grants, ({ grantee }) => grantee);
  const protectionsOf = (node: PrincipalDescription) =>
    (held.get(node.arn) ?? []).flatMap((grant) => {
      const key = encrypting.get(grant.keyId);
      return key === undefined ? [] : [protection(key, grant)];
    });
  const lastUnwraps = new Map<string, AuditRecord>();
  for (const record of unwraps.records)
    if (!lastUnwraps.has(record.principal)) lastUnwraps.set(record.principal, record);
  const leaseOf = new Map(leases.leases.map(({ node, lease }) => [node, lease]));
  return {
    nodes: nodes.map((node) => {
      const protections = protectionsOf(node);
      return {
        ...node,
        protections: protections.slice(0, maxProtections),
        protectionsInAll: protections.length,
        lastUnwrap: briefly(lastUnwraps.get(node.arn)),
        lease: leaseOf.get(node.name) ?? null,
      };
    }),
    unwrapsSince: unwraps.next === null ? null : (unwraps.records.at(-1)?.at ?? null),
    leasesSince: leases.since,
    nodesOverAws: nodesOverAws(unwraps.records),
  };
}

/** The last unwrap of each node's data key at the AWS door. A refusal counts: it is what a revoked node's start looks like. */
function nodesOverAws(unwraps: readonly AuditRecord[]): readonly NodeOverAws[] {
  const found = new Map<string, NodeOverAws>();
  for (const record of unwraps) {
    const { door, context, principal } = record;
    if (door !== "aws" || context?.purpose !== dataKeyPurpose) continue;
    const { node, network } = context;
    const lastUnwrap = briefly(record);
    if (!isName(node) || !isName(network) || lastUnwrap === null || found.size >= maxNodesOverAws) continue;
    const name = JSON.stringify([network, node]);
    if (!found.has(name)) found.set(name, { node, network, principal, lastUnwrap });
  }
  return [...found.values()].sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** A context is the caller's to choose: what is no name of a node or a network is not shown as one. */
function isName(text: string | undefined): text is string {
  return text !== undefined && text.length > 0 && text.length <= 64;
}

function protection({ keyId, aliases, state }: KeyDescription, grant: GrantOnKey): Protection {
  const { id: grantId, operations, notAfter = null } = grant;
  return { keyId, aliases, state, grantId, operations, notAfter };
}

function briefly(record: AuditRecord | undefined): NodeInView["lastUnwrap"] {
  if (record === undefined) return null;
  const { at, peer, result, error, sequence } = record;
  return { at, peer, result, error, sequence };
}
