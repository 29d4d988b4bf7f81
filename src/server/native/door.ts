import { createServer as createHttpServer, type Server } from "node:http";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import type { TLSSocket } from "node:tls";
import type { ServerCertificate } from "../authority.ts";
import { peerAddress } from "../fisco/peers.ts";
import { httpLimits, idleTimeoutMs, maxConnections, refuseMalformed } from "../listener.ts";
import type { Metrics } from "../observe.ts";
import { type Authentication, dispatcher } from "./dispatch.ts";
import type { DoorServices } from "./endpoint.ts";
import { inForce, type PeerCertificate, readPeerCertificate } from "./peer-certificate.ts";

export interface NativeDoorOptions extends DoorServices {
  readonly metrics: Metrics;
  readonly onUnexpected: (error: unknown, requestId: string) => void;
  readonly closing: () => boolean;
}

export interface TlsDoorOptions extends NativeDoorOptions {
  readonly certificate: ServerCertificate;
  /** Unix milliseconds. */
  readonly clock: () => number;
}

/** Connections of callers without a usable certificate: enrolment needs few, a flood gets no more. */
const maxStrangers = 64;

/**
 * The native door over HTTPS: TLS 1.3 and HTTP/1.1 only. A client certificate is asked for but not demanded in the
 * handshake, so that enrolment works; every other operation demands one (see dispatch.ts). Not listening yet.
 */
export function tlsServer(options: TlsDoorOptions): HttpsServer {
  const { authority, custody, metrics, clock } = options;
  const certificates = new WeakMap<object, PeerCertificate>();
  const authentication: Authentication = {
    door: "native",
    peer: ({ socket }) => peerAddress(socket.remoteAddress),
    mayBeKnown({ socket }) {
      const certificate = certificates.get(socket);
      return certificate !== undefined && inForce(certificate, clock());
    },
    async principal({ socket }, requestId) {
      const certificate = certificates.get(socket);
      if (certificate === undefined || !inForce(certificate, clock())) return undefined;
      const principal = await custody.principalOfPublicKey(certificate.spkiSha256, {
        door: "native",
        peer: peerAddress(socket.remoteAddress),
        requestId,
      });
      if (principal?.state !== "enabled") return undefined;
      return { arn: principal.arn, principal, certificateNotAfterMs: certificate.notAfterMs };
    },
  };
  const server = options.certificate.privateKeyPem.expose((key) =>
    createHttpsServer(
      {
        ...httpLimits,
        minVersion: "TLSv1.3",
        maxVersion: "TLSv1.3",
        ALPNProtocols: ["http/1.1"],
        handshakeTimeout: 10_000,
        requestCert: true,
        rejectUnauthorized: false,
        ca: authority.clientIssuerPem,
        cert: options.certificate.chainPem,
        key,
      },
      dispatcher({ ...options, observer: metrics, authentication }),
    ),
  );
  let strangers = 0;
  server.on("secureConnection", (socket: TLSSocket) => {
    const certificate = readPeerCertificate(socket, authority.clientIssuer);
    if (certificate !== undefined) {
      certificates.set(socket, certificate);
      return;
    }
    if (strangers >= maxStrangers) {
      metrics.connectionFailure("native", "too-many-strangers");
      socket.destroy();
      return;
    }
    strangers += 1;
    socket.once("close", () => {
      strangers -= 1;
    });
  });
  limit(server, (reason) => metrics.connectionFailure("native", reason));
  return server;
}

/** Puts a newer certificate into force, for connections from now on. */
export function replaceCertificate(server: HttpsServer, { authority }: DoorServices, next: ServerCertificate): void {
  next.privateKeyPem.expose((key) =>
    server.setSecureContext({
      minVersion: "TLSv1.3",
      maxVersion: "TLSv1.3",
      ca: authority.clientIssuerPem,
      cert: next.chainPem,
      key,
    }),
  );
}

/**
 * The same operations over the administration socket. Who may open the socket is the folder's administrator: the socket
 * is mode 0600 in a folder of mode 0700. Not listening yet.
 */
export function socketServer(options: NativeDoorOptions): Server {
  const { custody, metrics } = options;
  const peer = `unix:uid=${process.getuid?.() ?? "unknown"}`;
  const authentication: Authentication = {
    door: "local",
    peer: () => peer,
    mayBeKnown: () => true,
    principal: async () => ({
      arn: custody.identity.localAdministrator,
      principal: undefined,
      certificateNotAfterMs: undefined,
    }),
  };
  const server = createHttpServer(httpLimits, dispatcher({ ...options, observer: metrics, authentication }));
  limit(server, (reason) => metrics.connectionFailure("local", reason));
  return server;
}

function limit(server: Server, count: (reason: string) => void): void {
  server.maxConnections = maxConnections;
  server.timeout = idleTimeoutMs;
  server.on("drop", () => count("too-many-connections"));
  refuseMalformed(server, count);
}
