import { useState } from "preact/hooks";
import type { AuditRecord } from "../api.ts";
import { principalName } from "../names.ts";
import { useSettings } from "../settings.tsx";
import type { TextKey } from "../text/en.ts";
import { Dialog } from "./dialog.tsx";
import { StateBadge } from "./state-badge.tsx";
import { Table } from "./table.tsx";

interface RecordsProps {
  readonly records: readonly AuditRecord[];
  readonly caption: string;
  readonly empty: TextKey;
}

/** Audit records in a table; each opens in full. */
export function Records({ records, caption, empty }: RecordsProps) {
  const { text, time } = useSettings();
  const [shown, setShown] = useState<AuditRecord>();
  if (records.length === 0) return <p class="empty">{text(empty)}</p>;
  return (
    <>
      <Table
        caption={caption}
        columns={[
          { right: text("audit.sequence") },
          text("audit.time"),
          text("audit.principal"),
          text("audit.action"),
          text("audit.key"),
          text("audit.peer"),
          text("audit.result"),
        ]}
      >
        {records.map((record) => (
          <tr key={record.sequence}>
            <td class="right">
              <button type="button" class="link" onClick={() => setShown(record)}>
                {record.sequence}
              </button>
            </td>
            <td class="nowrap">{time(record.at)}</td>
            <td class="breaks" title={record.principal}>
              {principalName(record.principal)}
            </td>
            <td class="mono breaks">{record.action}</td>
            <td class="mono" title={record.key ?? ""}>
              {record.key ? `${record.key.slice(0, 8)}…` : ""}
            </td>
            <td class="breaks">
              {record.peer} <span class="quiet">{record.door}</span>
            </td>
            <td>
              <StateBadge state={record.result} kind="result" />
              {record.error !== null && <span class="mono quiet block nowrap">{record.error}</span>}
            </td>
          </tr>
        ))}
      </Table>
      {shown !== undefined && (
        <Dialog title={`${text("audit.sequence")} ${shown.sequence}`} wide onClose={() => setShown(undefined)}>
          <dl>
            {Object.entries(shown)
              .filter(([, value]) => value !== null && value !== "")
              .map(([name, value]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd class="mono">{typeof value === "object" ? JSON.stringify(value) : String(value)}</dd>
                </div>
              ))}
          </dl>
          <div class="buttons">
            <button type="button" onClick={() => setShown(undefined)}>
              {text("action.close")}
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}
