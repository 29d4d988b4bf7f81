import { useEffect, useState } from "preact/hooks";
import type { LeaseDescription } from "../../src/client/protocol.ts";
import { api } from "./api.ts";

/** A lease, and when this page learnt of it (milliseconds of `performance.now`): its age counts from there. */
export interface LeaseInView {
  readonly lease: LeaseDescription;
  readonly learntMs: number;
}

interface Change {
  readonly node: string;
  readonly lease: LeaseDescription;
}

/** Leases by node, as the server tells of them while this page is open; `live` is false while the stream is broken off. */
export function useLeases(): { readonly leases: ReadonlyMap<string, LeaseInView>; readonly live: boolean } {
  const [leases, setLeases] = useState<ReadonlyMap<string, LeaseInView>>(new Map());
  const [live, setLive] = useState(false);
  useEffect(() => {
    const source = new EventSource("/api/activity");
    source.addEventListener("history", () => setLive(true));
    source.addEventListener("leases", (event) => {
      const learntMs = performance.now();
      const changes: readonly Change[] = JSON.parse(event.data);
      setLeases(
        (before) => new Map([...before, ...changes.map(({ node, lease }) => [node, { lease, learntMs }] as const)]),
      );
    });
    source.addEventListener("error", () => {
      setLive(false);
      // A stream that is refused for good looks like one that broke off: the session tells which it is.
      api.session().catch(() => {});
    });
    return () => source.close();
  }, []);
  return { leases, live };
}
