import { useEffect, useState } from "preact/hooks";
import type { LeaseInView } from "../leases.ts";
import { useSettings } from "../settings.tsx";
import { span } from "./age.ts";
import { StateBadge } from "./state-badge.tsx";

interface LeaseProps {
  /** Undefined when no key was released to the node. */
  readonly known: LeaseInView | undefined;
  /** Since when the chain was looked at; null for all of it. */
  readonly since: string | null;
  /** Whether ages count on: they do while the server tells of each check. */
  readonly live: boolean;
}

/** What holds a node to the key manager's word: a lease and its last check, or none. */
export function Lease({ known, since, live }: LeaseProps) {
  const { text, time } = useSettings();
  if (known === undefined)
    return (
      <span class="quiet">
        {since === null ? text("lease.unknown") : text("lease.unknownSince", { since: time(since) })}
      </span>
    );
  const { lease } = known;
  return (
    <>
      <StateBadge state={lease.state} kind="lease" />
      <span class="quiet block">
        <LeaseMeaning known={known} live={live} />
      </span>
      {lease.alsoWithoutLeaseAt !== null && (
        <span class="bad-text block">{text("lease.beside", { at: time(lease.alsoWithoutLeaseAt) })}</span>
      )}
      {lease.launchesHeld > 1 && (
        <span class="bad-text block">{text("lease.several", { count: lease.launchesHeld })}</span>
      )}
    </>
  );
}

function LeaseMeaning({ known: { lease, learntMs }, live }: { readonly known: LeaseInView; readonly live: boolean }) {
  const { text, time } = useSettings();
  const every = span(text, lease.seconds ?? 0);
  const at = time(lease.checkedAt);
  const nowMs = useNow(live && lease.state === "held");
  if (lease.state === "held" && live) {
    const ago = lease.checkedSecondsAgo + Math.max(0, Math.floor((nowMs - learntMs) / 1000));
    return <>{text("lease.held.live", { every, ago: span(text, ago) })}</>;
  }
  return <>{text(`lease.${lease.state}.meaning`, { every, at })}</>;
}

/** The page's clock, each second while it is wanted. */
function useNow(wanted: boolean): number {
  const [nowMs, setNowMs] = useState(() => performance.now());
  useEffect(() => {
    if (!wanted) return;
    const timer = setInterval(() => setNowMs(performance.now()), 1000);
    return () => clearInterval(timer);
  }, [wanted]);
  return nowMs;
}
