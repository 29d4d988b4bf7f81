import type { RequestListener } from "node:http";
import { createServer, type Server } from "node:https";
import type { CustodyService } from "../../custody/service.ts";
import type { ServerCertificate } from "../authority.ts";
import { drain, httpLimits, idleTimeoutMs, maxConnections, refuseMalformed } from "../listener.ts";
import type { Metrics } from "../observe.ts";
import { RateLimit } from "../rate-limit.ts";
import { awsDispatcher } from "./dispatch.ts";
import { answerPlainHttpOnLoopback } from "./first-byte.ts";
import type { AwsOperation } from "./operation.ts";
import { type AccessKeys, SignatureVerifier } from "./sigv4.ts";

/** How often one principal may call: in the long run, and at once after a quiet time. */
export interface AwsRate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Above what one process answers to one client, below what lets one client have the server to itself for long. */
export const defaultAwsRate: AwsRate = { perSecond: 2000, burst: 4000 };
/** Refusals of one network of strangers that are told their reason. */
const strangersRate: AwsRate = { perSecond: 20, burst: 100 };

export interface AwsDoorOptions {
  readonly custody: CustodyService;
  readonly accessKeys: AccessKeys;
  readonly metrics: Metrics;
  /** @defaultValue the table of operations */
  readonly operations?: (name: string) => AwsOperation | undefined;
  /** @defaultValue {@link defaultAwsRate} */
  readonly rate?: AwsRate;
  /** Unix milliseconds. */
  readonly clock: () => number;
  readonly onUnexpected: (error: unknown, requestId: string) => void;
  readonly closing: () => boolean;
}

const tlsVersions = { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" } as const;

/**
 * The door for AWS KMS clients: JSON 1.1 with Signature Version 4 over HTTPS (TLS 1.2 and 1.3, HTTP/1.1), and over plain HTTP
 * on the machine's own loopback addresses. Docs: docs/operations.md.
 */
export class AwsDoor {
  readonly #verifier: SignatureVerifier;
  readonly #dispatcher: RequestListener;
  readonly #count: (reason: string) => void;
  #endSilent: () => void = () => {};

  constructor(options: AwsDoorOptions) {
    const { custody, accessKeys, metrics, clock, rate, operations, onUnexpected, closing } = options;
    this.#verifier = new SignatureVerifier(accessKeys, { region: custody.identity.region, clock });
    this.#dispatcher = awsDispatcher({
      custody,
      verifier: this.#verifier,
      callers: new RateLimit(rate ?? defaultAwsRate),
      strangers: new RateLimit(strangersRate),
      observer: metrics,
      ...(operations === undefined ? {} : { operations }),
      clock,
      onUnexpected,
      closing,
    });
    this.#count = (reason) => metrics.connectionFailure("aws", reason);
  }

  /** The door's one listener, not listening yet. The certificate is lent for the call. */
  server(certificate: ServerCertificate): Server {
    const count = this.#count;
    const server = certificate.privateKeyPem.expose((key) =>
      createServer(
        { ...httpLimits, ...tlsVersions, handshakeTimeout: 10_000, cert: certificate.chainPem, key },
        this.#dispatcher,
      ),
    );
    this.#endSilent = answerPlainHttpOnLoopback(server, count);
    server.maxConnections = maxConnections;
    server.timeout = idleTimeoutMs;
    server.on("drop", () => count("too-many-connections"));
    refuseMalformed(server, count);
    return server;
  }

  /** Puts a newer certificate into force, for connections from now on. It is lent for the call. */
  replaceCertificate(server: Server, next: ServerCertificate): void {
    next.privateKeyPem.expose((key) => server.setSecureContext({ ...tlsVersions, cert: next.chainPem, key }));
  }

  /** Stops listening, lets requests that have begun end, wipes the derived keys. */
  async close(server: Server): Promise<void> {
    this.#endSilent();
    if (server.listening) {
      const drained = drain(server);
      this.#endSilent();
      await drained;
    }
    this.#verifier[Symbol.dispose]();
  }
}
