import type { NodesInView } from "../api.ts";
import { principalName } from "../names.ts";
import { useSettings } from "../settings.tsx";
import { LastUnwrap } from "./last-unwrap.tsx";

/** Nodes whose launchers ask at the AWS door, as a cloud's KMS is asked: all that is known of them is what they asked for. */
export function NodesOverAws({ nodes }: { readonly nodes: NodesInView["nodesOverAws"] }) {
  const { text } = useSettings();
  return (
    <div class="scroll">
      <table>
        <caption class="hidden">{text("nodesOverAws.title")}</caption>
        <thead>
          <tr>
            <th>{text("common.name")}</th>
            <th>{text("nodesOverAws.network")}</th>
            <th>{text("nodesOverAws.principal")}</th>
            <th>{text("nodes.lastUnwrap")}</th>
            <th>{text("nodes.lease")}</th>
          </tr>
        </thead>
        <tbody>
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
        </tbody>
      </table>
    </div>
  );
}
