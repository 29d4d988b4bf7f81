import type { NodeInView, NodesInView, PrincipalDescription } from "../api.ts";
import type { LeaseInView } from "../leases.ts";
import { keyName } from "../names.ts";
import { useSettings } from "../settings.tsx";
import { LastUnwrap } from "./last-unwrap.tsx";
import { Lease } from "./lease.tsx";
import { Paged } from "./paged.tsx";
import { StateBadge } from "./state-badge.tsx";
import { Table } from "./table.tsx";

interface NodeTableProps {
  readonly view: NodesInView;
  readonly leases: ReadonlyMap<string, LeaseInView>;
  /** Whether the server tells of each change of them. */
  readonly live: boolean;
  readonly onRevoke: (node: NodeInView) => void;
  readonly onEnable: (node: PrincipalDescription) => void;
}

/** Nodes: who they are, which keys protect them, when they last unwrapped, what holds them to the key manager's word. */
export function NodeTable({ view, leases, live, onRevoke, onEnable }: NodeTableProps) {
  const { text } = useSettings();
  if (view.nodes.length === 0) return <p class="empty">{text("nodes.empty")}</p>;
  return (
    <Paged items={view.nodes} textOf={({ name, publicKeys }) => [name, ...publicKeys].join(" ")}>
      {(nodes) => (
        <Table
          caption={text("nodes.title")}
          columns={[
            text("common.name"),
            text("common.state"),
            text("nodes.identity"),
            text("nodes.protections"),
            text("nodes.lastUnwrap"),
            text("nodes.lease"),
          ]}
          actions
        >
          {nodes.map((node) => (
            <tr key={node.name} data-node={node.name}>
              <td>
                <span class="strong">{node.name}</span>
                <span class="mono quiet block" title={node.publicKeys.join(" ")}>
                  {node.publicKeys[0]?.slice(0, 16)}
                </span>
              </td>
              <td>
                <StateBadge state={node.state} />
              </td>
              <td>{node.identity === null ? text("common.none") : text(`nodes.identity.${node.identity}`)}</td>
              <td>
                {node.protections.length === 0 && <span class="quiet">{text("nodes.noProtections")}</span>}
                {node.protections.map((key) => (
                  <span key={key.grantId} class="chip" title={`${key.keyId}: ${key.operations.join(", ")}`}>
                    {keyName(key)}
                    {key.state !== "enabled" && <StateBadge state={key.state} />}
                  </span>
                ))}
                {node.protectionsInAll > node.protections.length && (
                  <span class="quiet">
                    {text("nodes.moreProtections", { count: node.protectionsInAll - node.protections.length })}
                  </span>
                )}
              </td>
              <td>
                <LastUnwrap lastUnwrap={node.lastUnwrap} since={view.unwrapsSince} />
              </td>
              <td class="lease">
                <Lease known={leases.get(node.name)} since={view.leasesSince} live={live} />
              </td>
              <td class="right">
                {node.state === "enabled" ? (
                  <button type="button" class="danger quiet-button" onClick={() => onRevoke(node)}>
                    {text("action.revoke")}
                  </button>
                ) : (
                  <button type="button" onClick={() => onEnable(node)}>
                    {text("action.enable")}
                  </button>
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </Paged>
  );
}
