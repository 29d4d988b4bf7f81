import { constants } from "node:crypto";
import { connect, createServer, type SecureContextOptions, type Server, type TLSSocket } from "node:tls";
import { Backoff } from "../../node/backoff.ts";
import { type Address, writeAddress } from "./address.ts";
import { NetError } from "./errors.ts";
import type { HandshakeIdentity } from "./handshake.ts";
import { Link, type LinkLimits, linkDefaults } from "./link.ts";
import { Peers } from "./peers.ts";
import { maxStrangers, Strangers } from "./strangers.ts";

/** PEM of the chain's CA, of this node's certificate under it, and of the certificate's private key. */
export interface NetworkTls {
  readonly ca: Buffer;
  readonly certificate: Buffer;
  readonly privateKey: Buffer;
}

export interface NetworkEvents {
  /** A message of a proved node. What is in it is not checked. */
  message(nodeId: string, body: Buffer): void;
  connected(nodeId: string): void;
  disconnected(nodeId: string, reason: NetError | undefined): void;
  /** A connection that came to nothing: whose, and why. At most one line for each failure, without secrets. */
  refused(from: string, reason: Error): void;
}

export interface NetworkSettings {
  readonly listen: Address;
  readonly tls: NetworkTls;
  readonly identity: HandshakeIdentity;
  /** Where nodes of the chain listen; this node's own address may be among them. */
  readonly dial: readonly Address[];
  readonly limits?: LinkLimits;
  /** First and longest pause between two tries to reach one address. @defaultValue 500 and 10 000 ms */
  readonly redial?: { readonly firstMs: number; readonly longestMs: number };
}

type SharedTlsOptions = SecureContextOptions & { readonly rejectUnauthorized: true };

const dialTimeoutMs = 5_000;
/** Longest pauses between two tries at an address that said that it is this node itself. */
const ownAddressPauses = 30;

/** The node's connections to all others: listens, dials, proves, keeps one of each pair, and dials again what was lost. */
export class Network implements AsyncDisposable {
  readonly #settings: NetworkSettings;
  readonly #events: NetworkEvents;
  readonly #limits: LinkLimits;
  readonly #peers: Peers;
  readonly #server: Server;
  readonly #strangers = new Strangers();
  readonly #sockets = new Set<TLSSocket>();
  readonly #stopping = new AbortController();
  /** Which node was found at an address, so that a node that is connected already is not dialed. */
  readonly #foundAt = new Map<string, string>();

  private constructor(settings: NetworkSettings, events: NetworkEvents) {
    this.#settings = settings;
    this.#events = events;
    this.#limits = settings.limits ?? linkDefaults;
    this.#peers = new Peers(settings.identity.nodeId);
    try {
      this.#server = createServer({
        ...this.#tlsOptions(),
        requestCert: true,
        handshakeTimeout: this.#limits.handshakeMs,
      });
    } catch (cause) {
      throw new NetError("TLS_UNUSABLE", `the node's TLS files cannot be used: ${messageOf(cause)}`, cause);
    }
    this.#server.on("connection", (connection) => this.#strangers.add(connection));
    this.#server.on("secureConnection", (socket) => void this.#accept(socket));
    this.#server.on("tlsClientError", (error, socket) => {
      this.#refused(socket.remoteAddress ?? "a peer", new NetError("HANDSHAKE_REFUSED", `TLS: ${error.message}`));
      socket.destroy();
    });
    // Above what strangers and nodes may have: a limit that is met here would turn nodes away, too.
    this.#server.maxConnections = settings.dial.length * 4 + 2 * maxStrangers;
  }

  /**
   * Listens and begins to dial.
   *
   * @throws {NetError} `LISTEN_FAILED`, `TLS_UNUSABLE`.
   */
  static async start(settings: NetworkSettings, events: NetworkEvents): Promise<Network> {
    const network = new Network(settings, events);
    await network.#listen();
    for (const address of settings.dial) void network.#keepDialing(address);
    return network;
  }

  /** Ids of the nodes that are connected, sorted. */
  get connected(): readonly string[] {
    return this.#peers.connected;
  }

  /** Where it listens: the port is the system's choice when 0 was asked for. */
  get address(): Address {
    const address = this.#server.address();
    return typeof address === "object" && address !== null
      ? { host: address.address, port: address.port }
      : this.#settings.listen;
  }

  /** Sends to one node; false when it is not connected. Delivery is not promised. */
  send(nodeId: string, ...body: readonly Uint8Array[]): boolean {
    return this.#peers.get(nodeId)?.send(...body) ?? false;
  }

  /** Ends the connection to a node that misbehaves; it may come again after a pause. */
  disconnect(nodeId: string): void {
    this.#peers.get(nodeId)?.close();
  }

  /** Sends to all nodes that are connected. */
  broadcast(...body: readonly Uint8Array[]): void {
    for (const nodeId of this.#peers.connected) this.send(nodeId, ...body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.#peers.closeAll();
    for (const socket of this.#sockets) socket.destroy();
    this.#strangers.endAll();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#settings.listen;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (cause) =>
        reject(
          new NetError(
            "LISTEN_FAILED",
            `${writeAddress({ host, port })} cannot be listened on: ${cause.message}`,
            cause,
          ),
        ),
      );
      this.#server.listen(port, host, resolve);
    });
    this.#server.on("error", (error) => this.#events.refused("the listener", error));
  }

  async #accept(socket: TLSSocket): Promise<void> {
    const { remoteAddress = "unknown", remotePort } = socket;
    if (this.#stopping.signal.aborted) {
      socket.on("error", () => {});
      socket.destroy();
      return;
    }
    try {
      await this.#prove(socket, "listener");
      this.#strangers.release({ remoteAddress, remotePort });
    } catch (error) {
      this.#refused(remoteAddress, error);
    }
  }

  /** Keeps one address connected until the network stops; one that turns out to be this node's own is dialed seldom. */
  async #keepDialing(address: Address): Promise<void> {
    const { firstMs, longestMs } = this.#settings.redial ?? { firstMs: 500, longestMs: 10_000 };
    const backoff = new Backoff(firstMs, longestMs);
    const name = writeAddress(address);
    let lastRefusal = "";
    while (!this.#stopping.signal.aborted) {
      const found = this.#foundAt.get(name);
      if (found === undefined || this.#peers.get(found) === undefined)
        try {
          const link = await this.#prove(await this.#dial(address), "dialer");
          this.#foundAt.set(name, link.nodeId);
          lastRefusal = "";
          backoff.reset();
        } catch (error) {
          // A node that is down for hours is one line, not one each time.
          if (messageOf(error) !== lastRefusal) this.#refused(name, error);
          lastRefusal = messageOf(error);
          // Anyone with a certificate of the chain can say so in another node's place: it is asked again, though seldom.
          if (isThisNode(error)) await pause(longestMs * ownAddressPauses, this.#stopping.signal);
        }
      else backoff.reset();
      await pause(backoff.next(), this.#stopping.signal);
    }
  }

  #dial({ host, port }: Address): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      // Which node it is, its node key proves; the certificate only has to be of the chain's CA.
      const socket = connect({ ...this.#tlsOptions(), host, port, checkServerIdentity: () => undefined });
      this.#sockets.add(socket);
      const timer = setTimeout(() => socket.destroy(new Error("no answer in time")), dialTimeoutMs);
      socket.once("secureConnect", () => {
        clearTimeout(timer);
        resolve(socket);
      });
      socket.on("error", (cause) => {
        clearTimeout(timer);
        reject(new NetError("LINK_CLOSED", messageOf(cause), cause));
      });
      socket.once("close", () => {
        clearTimeout(timer);
        this.#sockets.delete(socket);
        reject(new NetError("LINK_CLOSED"));
      });
    });
  }

  async #prove(socket: TLSSocket, role: "dialer" | "listener"): Promise<Link> {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.setNoDelay(true);
    const link = await Link.prove(socket, role, this.#settings.identity, this.#limits);
    if (this.#stopping.signal.aborted) {
      link.close();
      return link;
    }
    const known = this.#peers.get(link.nodeId) !== undefined;
    if (!this.#peers.add(link)) return link;
    if (!known) this.#events.connected(link.nodeId);
    link.listen({
      message: (body) => this.#events.message(link.nodeId, body),
      closed: (reason) => {
        if (this.#peers.remove(link)) this.#events.disconnected(link.nodeId, reason);
      },
    });
    return link;
  }

  #refused(from: string, error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    this.#events.refused(from, error instanceof Error ? error : new Error(String(error)));
  }

  #tlsOptions(): SharedTlsOptions {
    const { ca, certificate, privateKey } = this.#settings.tls;
    return {
      ca,
      cert: certificate,
      key: privateKey,
      rejectUnauthorized: true,
      minVersion: "TLSv1.3",
      maxVersion: "TLSv1.3",
      secureOptions: constants.SSL_OP_NO_TICKET,
    };
  }
}

function isThisNode(error: unknown): boolean {
  return error instanceof NetError && error.message.endsWith("is this node itself");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done, { once: true });
  });
}
