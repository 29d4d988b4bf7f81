import { useEffect, useState } from "preact/hooks";
import { api } from "./api.ts";
import type { Bucket } from "./parts/activity-chart.tsx";

/** The server's live counts; `live` is false while the stream is broken off. */
export function useActivity(): { readonly buckets: readonly Bucket[]; readonly live: boolean } {
  const [buckets, setBuckets] = useState<readonly Bucket[]>([]);
  const [live, setLive] = useState(false);
  useEffect(() => {
    const source = new EventSource("/api/activity");
    source.addEventListener("history", (event) => {
      setBuckets(JSON.parse(event.data));
      setLive(true);
    });
    source.addEventListener("now", (event) => {
      const newest: readonly Bucket[] = JSON.parse(event.data);
      setBuckets((before) => merged(before, newest));
    });
    source.addEventListener("error", () => {
      setLive(false);
      // A stream that is refused for good looks like one that broke off: the session tells which it is.
      api.session().catch(() => {});
    });
    return () => source.close();
  }, []);
  return { buckets, live };
}

/** Newer spans in the place of what was known of them; as many in all as before. */
function merged(before: readonly Bucket[], newest: readonly Bucket[]): readonly Bucket[] {
  const first = newest[0]?.at ?? Number.POSITIVE_INFINITY;
  return [...before.filter((each) => each.at < first), ...newest].slice(-before.length);
}
