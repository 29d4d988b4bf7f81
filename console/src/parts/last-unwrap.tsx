import type { NodeInView } from "../api.ts";
import { useSettings } from "../settings.tsx";

interface LastUnwrapProps {
  readonly lastUnwrap: NodeInView["lastUnwrap"];
  /** When the oldest unwrap that was looked at happened; null when all were. */
  readonly since: string | null;
}

/** When a node last asked for its key, from where, and whether it got it. */
export function LastUnwrap({ lastUnwrap, since }: LastUnwrapProps) {
  const { text, time } = useSettings();
  if (lastUnwrap === null)
    return (
      <span class="quiet">
        {since === null ? text("nodes.neverUnwrapped") : text("nodes.noRecentUnwrap", { since: time(since) })}
      </span>
    );
  return (
    <>
      <span class="nowrap">{time(lastUnwrap.at)}</span>
      <span class={lastUnwrap.result === "done" ? "quiet block" : "bad-text block"}>
        {lastUnwrap.result === "done"
          ? lastUnwrap.peer
          : text("nodes.refusedUnwrap", { code: lastUnwrap.error ?? lastUnwrap.result })}
      </span>
    </>
  );
}
