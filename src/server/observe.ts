import { createServer, type Server } from "node:http";
import { Counter, collectDefaultMetrics, Histogram, Registry } from "prom-client";
import type { CustodyService, Door } from "../custody/service.ts";

/** What a door tells about each request. */
export interface RequestObserver {
  /** `result`: `done`, or the code of the error. */
  request(door: Door, action: string, result: string, seconds: number): void;
}

/** 0.25 ms to 2.5 s: an unwrap takes about 1 ms, a disk that stalls a tenth of a second and more. */
const durationBuckets = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** The key manager's metrics, in Prometheus' names: units as suffix. */
export class Metrics implements RequestObserver {
  readonly registry: Registry = new Registry();
  readonly #requests: Counter<"door" | "action" | "result">;
  readonly #durations: Histogram<"door" | "action">;
  readonly #connectionFailures: Counter<"door" | "reason">;
  /** The series of a request, looked up once: their labels are hashed at each look-up. */
  readonly #series: Map<
    string,
    { readonly requests: Counter.Internal; readonly durations: Histogram.Internal<string> }
  >;
  readonly #commits: Counter;
  readonly #commitRecords: Counter;
  readonly #commitDurations: Histogram;

  constructor() {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.#requests = new Counter({
      name: "strongroom_requests_total",
      help: "Requests answered, by door, operation and result (done, or the code of the error)",
      labelNames: ["door", "action", "result"],
      registers,
    });
    this.#durations = new Histogram({
      name: "strongroom_request_duration_seconds",
      help: "Time from a request's headers to its answer; the durable audit record is part of it",
      labelNames: ["door", "action"],
      buckets: durationBuckets,
      registers,
    });
    this.#series = new Map();
    this.#connectionFailures = new Counter({
      name: "strongroom_connection_failures_total",
      help: "Connections that ended before a request: failed TLS handshakes, malformed HTTP, timeouts, limits",
      labelNames: ["door", "reason"],
      registers,
    });
    this.#commits = new Counter({
      name: "strongroom_audit_commits_total",
      help: "Durable commits of audit records; one commit serves all requests that wait for it",
      registers,
    });
    this.#commitRecords = new Counter({
      name: "strongroom_audit_records_total",
      help: "Audit records committed",
      registers,
    });
    this.#commitDurations = new Histogram({
      name: "strongroom_audit_commit_duration_seconds",
      help: "Time of one durable commit: mostly the disk's own",
      buckets: durationBuckets,
      registers,
    });
  }

  request(door: Door, action: string, result: string, seconds: number): void {
    const series = this.#series.getOrInsertComputed(`${door} ${action} ${result}`, () => ({
      requests: this.#requests.labels(door, action, result),
      durations: this.#durations.labels(door, action),
    }));
    series.requests.inc();
    series.durations.observe(seconds);
  }

  connectionFailure(door: Door, reason: string): void {
    this.#connectionFailures.inc({ door, reason });
  }

  /** Given to custody, which calls it after each commit. */
  auditCommit(records: number, seconds: number): void {
    this.#commits.inc();
    this.#commitRecords.inc(records);
    this.#commitDurations.observe(seconds);
  }
}

/**
 * The listener for the machine's own monitoring: `/metrics` (Prometheus text), `/healthz` (200 while the process lives),
 * `/readyz` (200 when custody can answer, else 503 and why). It has no authentication, so it belongs on loopback.
 */
export function observationServer(custody: Pick<CustodyService, "readiness">, metrics: Metrics): Server {
  const server = createServer(
    { requestTimeout: 5000, headersTimeout: 5000, maxHeaderSize: 8192 },
    (request, response) => {
      const answer = (status: number, body: string, type = "text/plain; charset=utf-8") => {
        response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
        response.end(request.method === "HEAD" ? undefined : body);
      };
      if (request.method !== "GET" && request.method !== "HEAD") return answer(405, "only GET is answered here\n");
      if (request.url === "/healthz") return answer(200, "alive\n");
      if (request.url === "/readyz") {
        const { ready, reason } = custody.readiness();
        return answer(ready ? 200 : 503, ready ? "ready\n" : `not ready: ${reason ?? "unknown"}\n`);
      }
      if (request.url !== "/metrics") return answer(404, "here are /metrics, /healthz and /readyz\n");
      metrics.registry.metrics().then(
        (text) => answer(200, text, metrics.registry.contentType),
        () => answer(500, "the metrics could not be gathered\n"),
      );
    },
  );
  server.maxConnections = 64;
  return server;
}
