import type { GrantOnKey } from "../../custody/contract/grants.ts";
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
}

export interface NodesInView {
  readonly nodes: readonly NodeInView[];
  /** When the oldest unwrap that was looked at happened; null when all were. */
  readonly unwrapsSince: string | null;
}

/**
 * Nodes, the keys that protect what is theirs (their grants), and when each last unwrapped. Every part is asked of custody
 * as the caller, who must be allowed to read it.
 */
export async function nodesInView(custody: CustodyService, caller: Caller): Promise<NodesInView> {
  const [nodes, keys, grants, unwraps] = await Promise.all([
    custody.nodes.list(caller),
    custody.keys.list(caller),
    custody.grants.listAll(caller),
    custody.audit.search(caller, { action: "kms:Decrypt", order: "newest", limit: maxUnwraps }),
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
  return {
    nodes: nodes.map((node) => {
      const protections = protectionsOf(node);
      return {
        ...node,
        protections: protections.slice(0, maxProtections),
        protectionsInAll: protections.length,
        lastUnwrap: briefly(lastUnwraps.get(node.arn)),
      };
    }),
    unwrapsSince: unwraps.next === null ? null : (unwraps.records.at(-1)?.at ?? null),
  };
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
