import type { NodesInView } from "../api.ts";
import { principalName } from "../names.ts";
import { useSettings } from "../settings.tsx";
import { LastUnwrap } from "./last-unwrap.tsx";
import { Table } from "./table.tsx";

/** Nodes whose launchers ask at the AWS door, as a cloud's KMS is asked: all that is known of them is what they asked for. */
export function NodesOverAws({ nodes }: { readonly nodes: NodesInView["nodesOverAws"] }) {
  const { text } = useSettings();
  return (
    <Table
      caption={text("nodesOverAws.title")}
      columns={[
        text("common.name"),
        text("nodesOverAws.network"),
        text("nodesOverAws.principal"),
        text("nodes.lastUnwrap"),
        text("nodes.lease"),
      ]}
    >
      {nodes.map(({ node, network, principal, lastUnwrap }) => (
        <tr key={`${network}/${node}`} data-node-over-aws={node}>
          <td class="strong">{node}</td>
          <td>{network}</td>
          <td title={principal}>{principalName(principal)}</td>
          <td>
            <LastUnwrap lastUnwrap={lastUnwrap} since={null} />
          </td>
          <td class="quiet">{text("nodesOverAws.lease")}</td>
        </tr>
      ))}
    </Table>
  );
}
