import type { PrincipalDescription } from "../api.ts";
import { useSettings } from "../settings.tsx";
import { Paged } from "./paged.tsx";
import { StateBadge } from "./state-badge.tsx";
import { Table } from "./table.tsx";

interface CallersProps {
  readonly principals: readonly PrincipalDescription[];
  readonly onDisable: (principal: PrincipalDescription) => void;
  readonly onEnable: (principal: PrincipalDescription) => void;
}

/** The server's own principals are governed by its data folder's permissions and its options. */
const ownNames: ReadonlySet<string> = new Set(["local-administrator"]);

/** Users and services: everybody who calls and is no node. */
export function Callers({ principals, onDisable, onEnable }: CallersProps) {
  const { text, time } = useSettings();
  return (
    <Paged items={principals} textOf={({ name, role }) => `${name} ${role}`}>
      {(shown) => (
        <Table
          caption={text("nodes.callers")}
          columns={[
            text("common.name"),
            text("common.state"),
            text("nodes.kind"),
            text("nodes.role"),
            text("common.created"),
          ]}
          actions
        >
          {shown.map((principal) => (
            <tr key={principal.name} data-principal={principal.name}>
              <td class="strong">{principal.name}</td>
              <td>
                <StateBadge state={principal.state} />
              </td>
              <td>{principal.kind}</td>
              <td>{principal.role}</td>
              <td class="nowrap">{time(principal.createdAt)}</td>
              <td class="right">
                {!ownNames.has(principal.name) &&
                  (principal.state === "enabled" ? (
                    <button type="button" class="danger quiet-button" onClick={() => onDisable(principal)}>
                      {text("action.disable")}
                    </button>
                  ) : (
                    <button type="button" onClick={() => onEnable(principal)}>
                      {text("action.enable")}
                    </button>
                  ))}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </Paged>
  );
}
