import { createServer, type Server } from "node:https";
import type { TLSSocket } from "node:tls";
import type { ServerCertificate } from "../authority.ts";
import { type CertificateKeeper, withKeptCertificate } from "../kept-certificate.ts";
import { addressOf, drain, httpLimits, idleTimeoutMs, listen, refuseMalformed } from "../listener.ts";
import { type NativeDoorOptions, replaceCertificate } from "../native/door.ts";
import { type PeerCertificate, readPeerCertificate } from "../native/peer-certificate.ts";
import { Activity } from "./activity.ts";
import { ActivityStreams } from "./activity-stream.ts";
import { type ConsoleDispatchOptions, consoleDispatcher } from "./dispatch.ts";
import type { IntegrationStore } from "./integrations.ts";
import type { OneTimeCodes } from "./one-time-codes.ts";
import { readPageFiles } from "./page-files.ts";
import { Sessions } from "./sessions.ts";
import { SignIn } from "./sign-in.ts";

export interface ConsoleDoorOptions extends NativeDoorOptions {
  readonly host: string;
  readonly port: number;
  /** Its names are the only ones that the console answers under. */
  readonly certificate: CertificateKeeper;
  readonly codes: OneTimeCodes;
  /** Undefined when this key manager keeps no integrations. */
  readonly integrations?: IntegrationStore | undefined;
  /** Folder of the built page. @defaultValue `console/dist` of this package */
  readonly pageFolder?: string | undefined;
  /** Milliseconds of the clock by which sessions end and failed attempts are forgiven. @defaultValue `performance.now` */
  readonly sessionClock?: (() => number) | undefined;
}

export interface ConsoleDoor {
  /** `HOST:PORT`. */
  readonly address: string;
  close(): Promise<void>;
}

/** A person's browser opens a few; a flood gets no more. */
const maxConsoleConnections = 256;

/**
 * Serves the console over HTTPS (TLS 1.3): the page's files, sign-in, and data as the principal that signed in. A client
 * certificate is asked for, not demanded.
 *
 * @throws {ServerError} `CONSOLE_NOT_BUILT`, or as listening does.
 */
export async function startConsole(options: ConsoleDoorOptions): Promise<ConsoleDoor> {
  const { custody, authority, codes, integrations } = options;
  const { clock, names } = options.certificate;
  const files = readPageFiles(options.pageFolder);
  const { sessionClock: nowMs } = options;
  const sessions = new Sessions({ isEnabled: (principal, spki) => custody.isEnabled(principal, spki), nowMs });
  const activity = new Activity(clock);
  const streams = new ActivityStreams(activity, () => custody.leases.current());
  const certificates = new WeakMap<object, PeerCertificate>();
  const certificate = (request: { readonly socket: object }) => certificates.get(request.socket);
  const signIn = new SignIn({ custody, codes, sessions, certificate, clock, nowMs });
  const hostNames = new Set(names.map((each) => each.toLowerCase()));
  const dispatch: ConsoleDispatchOptions = {
    ...{ custody, authority, integrations, files, sessions, signIn, streams, hostNames },
    observer: options.metrics,
    onUnexpected: options.onUnexpected,
    closing: options.closing,
  };
  const { server, stop } = await withKeptCertificate(
    options.certificate,
    (own) => consoleServer(options, own, dispatch, certificates),
    (running, next) => replaceCertificate(running, options, next),
  );
  const unfollow = custody.follow((records) => {
    activity.count(records);
    if (!records.some(({ action }) => /^(?:strongroom|iam):/.test(action))) return;
    sessions.endOfRevoked();
    codes.endOfRevoked((principal) => custody.isEnabled(principal));
  });
  const close = async () => {
    stop();
    unfollow();
    streams.close();
    if (server.listening) await drain(server);
  };
  try {
    await listen(server, "console", { host: options.host, port: options.port });
  } catch (error) {
    await close();
    throw error;
  }
  return { address: addressOf(server), close };
}

function consoleServer(
  { authority, metrics }: ConsoleDoorOptions,
  { chainPem, privateKeyPem }: ServerCertificate,
  dispatch: ConsoleDispatchOptions,
  certificates: WeakMap<object, PeerCertificate>,
): Server {
  const settings = {
    ...httpLimits,
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    ALPNProtocols: ["http/1.1"],
    handshakeTimeout: 10_000,
    requestCert: true,
    rejectUnauthorized: false,
    ca: authority.clientIssuerPem,
    cert: chainPem,
  } as const;
  const server = privateKeyPem.expose((key) => createServer({ ...settings, key }, consoleDispatcher(dispatch)));
  server.on("secureConnection", (socket: TLSSocket) => {
    const peer = readPeerCertificate(socket, authority.clientIssuer);
    if (peer !== undefined) certificates.set(socket, peer);
  });
  server.maxConnections = maxConsoleConnections;
  server.timeout = idleTimeoutMs;
  server.on("drop", () => metrics.connectionFailure("console", "too-many-connections"));
  refuseMalformed(server, (reason) => metrics.connectionFailure("console", reason));
  return server;
}
