import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { useSettings } from "../settings.tsx";

/** Rows that are laid out at a time: a browser does a hundred at once, and ten thousand only slowly. */
const pageLength = 100;

interface PagedProps<T> {
  readonly items: readonly T[];
  /** What an item is found by, in lower case or not. */
  readonly textOf: (item: T) => string;
  readonly children: (shown: readonly T[]) => ComponentChildren;
}

/** A long list in pages, with a field to find items by; a short one as it is. */
export function Paged<T>({ items, textOf, children }: PagedProps<T>) {
  const { text } = useSettings();
  const id = useId();
  const [sought, setSought] = useState("");
  const [turnedTo, setTurnedTo] = useState(0);
  if (items.length <= pageLength) return <>{children(items)}</>;
  const word = sought.trim().toLowerCase();
  const found = word === "" ? items : items.filter((item) => textOf(item).toLowerCase().includes(word));
  const first = Math.min(turnedTo, Math.floor(Math.max(0, found.length - 1) / pageLength)) * pageLength;
  const shown = found.slice(first, first + pageLength);
  const turn = (pages: number) => setTurnedTo(first / pageLength + pages);
  return (
    <>
      <div class="pager">
        <label for={id}>{text("paged.find")}</label>
        <input
          id={id}
          type="search"
          value={sought}
          onInput={({ currentTarget }) => {
            setSought(currentTarget.value);
            setTurnedTo(0);
          }}
        />
        <span class="quiet" role="status">
          {text("paged.range", {
            from: shown.length === 0 ? 0 : first + 1,
            to: first + shown.length,
            all: found.length,
          })}
        </span>
        <button type="button" disabled={first === 0} onClick={() => turn(-1)}>
          {text("paged.before")}
        </button>
        <button type="button" disabled={first + pageLength >= found.length} onClick={() => turn(1)}>
          {text("paged.after")}
        </button>
      </div>
      {children(shown)}
    </>
  );
}
