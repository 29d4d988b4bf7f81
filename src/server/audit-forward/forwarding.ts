import { Counter, Gauge, type Registry } from "prom-client";
import type { AuditFeed } from "../../custody/contract/audit.ts";
import { Forwarder, type ForwardObserver } from "./forwarder.ts";
import { PositionFile } from "./position-file.ts";
import type { ForwardTarget } from "./target.ts";

export interface ForwardingOptions {
  readonly dataDir: string;
  readonly targets: readonly ForwardTarget[];
  /** Where the metrics are registered. */
  readonly registry: Registry;
  readonly log: (line: string) => void;
}

/** The forwarders of a server, one for each place. */
export interface Forwarding {
  close(): Promise<void>;
}

/** Begins to send the chain's records to each place. Closed before custody is. */
export async function startForwarding(feed: AuditFeed, options: ForwardingOptions): Promise<Forwarding> {
  const forwarders: Forwarder[] = [];
  const observer = metricsIn(options.registry, forwarders);
  const close = async () => void (await Promise.all(forwarders.map((each) => each.close())));
  try {
    for (const target of options.targets) {
      const position = new PositionFile(options.dataDir, target.id);
      forwarders.push(await Forwarder.start({ feed, target, position, observer, log: options.log }));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

function metricsIn(registry: Registry, forwarders: readonly Forwarder[]): ForwardObserver {
  const labelNames = ["target"] as const;
  const registers = [registry];
  const sent = new Counter({
    name: "strongroom_audit_forward_records_total",
    help: "Audit records that a place outside has taken",
    labelNames,
    registers,
  });
  const failed = new Counter({
    name: "strongroom_audit_forward_failures_total",
    help: "Attempts to send audit records that failed; they are tried again",
    labelNames,
    registers,
  });
  const skipped = new Counter({
    name: "strongroom_audit_forward_skipped_total",
    help: "Audit records that were given up; each gap is on record in the chain",
    labelNames,
    registers,
  });
  new Gauge({
    name: "strongroom_audit_forward_lag_records",
    help: "Audit records that wait to be sent",
    labelNames,
    registers,
    collect() {
      for (const { label, lag } of forwarders) this.set({ target: label }, lag);
    },
  });
  return {
    sent: (target, records) => sent.inc({ target }, records),
    failed: (target) => failed.inc({ target }),
    skipped: (target, records) => skipped.inc({ target }, records),
  };
}
