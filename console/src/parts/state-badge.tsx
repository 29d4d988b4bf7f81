import { useSettings } from "../settings.tsx";
import { isTextKey } from "../text/text.ts";

const tones: Readonly<Record<string, string>> = {
  enabled: "good",
  done: "good",
  held: "good",
  ready: "good",
  provisioned: "good",
  degraded: "warn",
  locked: "bad",
  down: "bad",
  lapsed: "warn",
  none: "warn",
  disabled: "warn",
  "pending-deletion": "warn",
  "pending-import": "warn",
  failed: "warn",
  revoked: "bad",
  refused: "bad",
  destroyed: "bad",
};

/** A state or result in a word; colour only repeats what the word says. */
export function StateBadge({
  state,
  kind = "state",
  isPast = false,
}: {
  readonly state: string;
  readonly kind?: "state" | "result" | "lease";
  /** Nobody stands by it any more: shown without its colour. */
  readonly isPast?: boolean;
}) {
  const { text } = useSettings();
  const key = `${kind}.${state}`;
  return <span class={`badge ${isPast ? "" : (tones[state] ?? "")}`}>{isTextKey(key) ? text(key) : state}</span>;
}
