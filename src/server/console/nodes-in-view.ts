import type { AuditRecord, Caller, CustodyService, PrincipalDescription } from "../../custody/service.ts";

/** Keys whose grants are looked at for one view, and unwraps that are looked through for the last of each node. */
const maxKeys = 500;
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
  readonly protections: readonly Protection[];
  /** The newest unwrap among the last thousand; null when there is none of this node's. */
  readonly lastUnwrap: Pick<AuditRecord, "at" | "peer" | "result" | "error" | "sequence"> | null;
}

export interface NodesInView {
  readonly nodes: readonly NodeInView[];
  /** False when there are more keys than are looked at. */
  readonly complete: boolean;
  /** When the oldest unwrap that was looked at happened; null when all were. */
  readonly unwrapsSince: string | null;
}

/**
 * Nodes, the keys that protect what is theirs (their grants), and when each last unwrapped. Every part is asked of custody
 * as the caller, who must be allowed to read it.
 */
export async function nodesInView(custody: CustodyService, caller: Caller): Promise<NodesInView> {
  const [nodes, keys, unwraps] = await Promise.all([
    custody.nodes.list(caller),
    custody.keys.list(caller),
    custody.audit.search(caller, { action: "kms:Decrypt", order: "newest", limit: maxUnwraps }),
  ]);
  const alive = keys.filter((key) => key.state !== "destroyed" && key.usage === "encrypt");
  const looked = alive.slice(0, maxKeys);
  const held = await Promise.all(
    looked.map(async (key) => (await custody.grants.list(caller, key.keyId)).map((grant) => ({ key, grant }))),
  );
  const protections = Map.groupBy(held.flat(), ({ grant }) => grant.grantee);
  const lastUnwraps = new Map<string, AuditRecord>();
  for (const record of unwraps.records)
    if (!lastUnwraps.has(record.principal)) lastUnwraps.set(record.principal, record);
  return {
    nodes: nodes.map((node) => ({
      ...node,
      protections: (protections.get(node.arn) ?? []).map(({ key, grant }) => ({
        keyId: key.keyId,
        aliases: key.aliases,
        state: key.state,
        grantId: grant.id,
        operations: grant.operations,
        notAfter: grant.notAfter ?? null,
      })),
      lastUnwrap: briefly(lastUnwraps.get(node.arn)),
    })),
    complete: looked.length === alive.length,
    unwrapsSince: unwraps.next === null ? null : (unwraps.records.at(-1)?.at ?? null),
  };
}

function briefly(record: AuditRecord | undefined): NodeInView["lastUnwrap"] {
  if (record === undefined) return null;
  const { at, peer, result, error, sequence } = record;
  return { at, peer, result, error, sequence };
}
