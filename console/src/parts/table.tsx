import type { ComponentChildren } from "preact";
import { useSettings } from "../settings.tsx";

/** A column's head; `{ right }` for one of numbers. */
type Column = string | { readonly right: string };

interface TableProps {
  /** Read out, not shown: a heading above says it to who sees. */
  readonly caption?: string;
  readonly columns: readonly Column[];
  /** Whether a last column of buttons follows. */
  readonly actions?: boolean;
  /** On a card of its own, where no section is one. */
  readonly card?: boolean;
  /** The rows. */
  readonly children: ComponentChildren;
}

/** A table that scrolls sideways by itself on a narrow screen. */
export function Table({ caption, columns, actions = false, card = false, children }: TableProps) {
  const { text } = useSettings();
  return (
    <div class={card ? "scroll card" : "scroll"}>
      <table>
        {caption !== undefined && <caption class="hidden">{caption}</caption>}
        <thead>
          <tr>
            {columns.map((column) =>
              typeof column === "string" ? (
                <th key={column}>{column}</th>
              ) : (
                <th key={column.right} class="right">
                  {column.right}
                </th>
              ),
            )}
            {actions && (
              <th>
                <span class="hidden">{text("common.actions")}</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
