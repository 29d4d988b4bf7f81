import type { ServerResponse } from "node:http";
import type { NodeLease } from "../../custody/contract/leases.ts";
import type { Activity } from "./activity.ts";
import { ConsoleError } from "./errors.ts";
import { securityHeaders } from "./same-origin.ts";

const everyMs = 1000;
/** A stream ends after this; the page's browser asks again, and whether it may is decided again. */
const streamLifeMs = 5 * 60 * 1000;
const quietMs = 15_000;
const maxStreams = 64;

/**
 * Counts of unwraps and refusals as server-sent events: `history` once (all spans), then `now` (the newest two) whenever
 * they change; `leases` with every node's lease once, then with those that were checked or changed. A stream ends with its
 * session, and after five minutes.
 */
export class ActivityStreams {
  readonly #activity: Activity;
  readonly #leases: () => readonly NodeLease[];
  readonly #open = new Set<ServerResponse>();

  constructor(activity: Activity, leases: () => readonly NodeLease[]) {
    this.#activity = activity;
    this.#leases = leases;
  }

  /**
   * @param holds - Asked every second: whether the session still holds.
   * @throws {ConsoleError} `STREAMS_BUSY`.
   */
  begin(response: ServerResponse, holds: () => boolean): void {
    if (this.#open.size >= maxStreams) throw new ConsoleError("STREAMS_BUSY");
    this.#open.add(response);
    const head = [...securityHeaders, "content-type", "text/event-stream", "cache-control", "no-store"];
    response.writeHead(200, head);
    const startedMs = performance.now();
    let told = JSON.stringify(this.#activity.recent());
    let toldMs = startedMs;
    response.write(`event: history\ndata: ${told}\n\n`);
    const toldLeases = new Map<string, string>();
    const tellLeases = () => {
      const changed = changedLeases(this.#leases(), toldLeases);
      if (changed.length > 0) response.write(`event: leases\ndata: ${JSON.stringify(changed)}\n\n`);
    };
    tellLeases();
    const timer = setInterval(() => {
      const nowMs = performance.now();
      if (nowMs - startedMs >= streamLifeMs || !holds()) {
        response.end();
        return;
      }
      tellLeases();
      const newest = JSON.stringify(this.#activity.recent().slice(-2));
      if (newest !== told) {
        told = newest;
        toldMs = nowMs;
        response.write(`event: now\ndata: ${newest}\n\n`);
      } else if (nowMs - toldMs >= quietMs) {
        toldMs = nowMs;
        response.write(":\n\n");
      }
    }, everyMs);
    response.on("close", () => {
      clearInterval(timer);
      this.#open.delete(response);
    });
  }

  /** Ends every stream: the server closes. */
  close(): void {
    for (const response of this.#open) response.end();
  }
}

/** Leases that are not what was told of them: how long ago a check was, whoever was told can count on. */
function changedLeases(leases: readonly NodeLease[], told: Map<string, string>): readonly NodeLease[] {
  return leases.filter(({ node, lease: { checkedSecondsAgo: _, ...rest } }) => {
    const now = JSON.stringify(rest);
    if (told.get(node) === now) return false;
    told.set(node, now);
    return true;
  });
}
