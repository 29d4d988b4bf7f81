import { Counter, type Registry } from "prom-client";
import type { NoticeKind } from "../custody/audit/notice-rules.ts";

const kinds: readonly NoticeKind[] = ["new-address", "unusual-hour", "refusal-burst", "counter-conflict"];

/** Counts the notices that were put on record; every kind is there from the start, at 0. */
export function noticeCounter(registry: Registry): Counter<"kind"> {
  const counter = new Counter({
    name: "strongroom_notices_total",
    help: "Notices put on record of what stands out in the audit chain, by kind",
    labelNames: ["kind"] as const,
    registers: [registry],
  });
  for (const kind of kinds) counter.inc({ kind }, 0);
  return counter;
}
