import { chmodSync, rmSync } from "node:fs";
import type { Server as HttpsServer } from "node:https";
import { isIP } from "node:net";
import { join } from "node:path";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { dataFiles } from "../custody/data-files.ts";
import type { CustodyService, LegacyMode } from "../custody/service.ts";
import { Authority, serverCertificateDays } from "./authority.ts";
import { listenFailure, ServerError } from "./errors.ts";
import { addressOf, drain, hostPort, listen } from "./listener.ts";
import { type NativeDoorOptions, replaceCertificate, socketServer, tlsServer } from "./native/door.ts";
import { Metrics, observationServer } from "./observe.ts";

/** Where a listener listens. Port 0 lets the system choose. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface ServerOptions {
  /** Its administration socket is opened here. */
  readonly dataDir: string;
  readonly native?: HostPort & {
    /** Further names and addresses by which nodes reach this server. */
    readonly names?: readonly string[];
  };
  readonly fisco?: HostPort & {
    readonly mode: LegacyMode;
    /** Lent until the server is closed. */
    readonly superKey: SecretBuffer;
    readonly allow?: readonly string[];
  };
  readonly metrics?: HostPort;
  /** Made by the caller when custody reports its commits to it. */
  readonly observer?: Metrics;
  /** Told in one line of what needs a person; never a secret. */
  readonly log: (line: string) => void;
  /** Unix milliseconds. @defaultValue `Date.now` */
  readonly clock?: () => number;
}

export interface RunningServer {
  /** Where each listener listens: `HOST:PORT`, for the administration socket its path. */
  readonly addresses: { readonly socket: string; native?: string; fisco?: string; metrics?: string };
  /** SHA-256 of the server issuer's public key, hex: what enrolment tokens pin. */
  readonly caFingerprint: string;
  /** Stops listening, lets requests that have begun end. Custody stays open: it is the caller's. */
  close(): Promise<void>;
}

/** `sun_path` holds 108 bytes with its closing zero (unix(7)). */
const maxSocketPathBytes = 107;
const renewalCheckMs = 60 * 60 * 1000;

/**
 * Opens every door of a key manager over one custody.
 *
 * @throws {ServerError} When a listener can't be opened; those that were opened are closed again.
 */
export async function startServer(custody: CustodyService, options: ServerOptions): Promise<RunningServer> {
  const clock = options.clock ?? Date.now;
  const metrics = options.observer ?? new Metrics();
  const authority = await Authority.open(custody, clock);
  const state = { closing: false };
  const closers: (() => Promise<void>)[] = [];
  const door: NativeDoorOptions = {
    custody,
    authority,
    metrics,
    closing: () => state.closing,
    onUnexpected: (error, requestId) => options.log(`request ${requestId} failed: ${nameOf(error)}`),
  };
  const close = async () => {
    state.closing = true;
    await Promise.all(closers.map((each) => each()));
  };
  try {
    const addresses: RunningServer["addresses"] = { socket: await openSocket(door, options.dataDir, closers) };
    if (options.native !== undefined)
      addresses.native = await openNative(door, options.native, clock, options, closers);
    if (options.fisco !== undefined) addresses.fisco = await openFisco(custody, options.fisco, options, closers);
    if (options.metrics !== undefined) {
      const server = observationServer(custody, metrics);
      await listen(server, "metrics", options.metrics);
      closers.push(() => drain(server));
      addresses.metrics = addressOf(server);
    }
    return { addresses, caFingerprint: authority.fingerprint.toString("hex"), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openSocket(door: NativeDoorOptions, dataDir: string, closers: (() => Promise<void>)[]): Promise<string> {
  const path = join(dataDir, dataFiles.socket);
  if (Buffer.byteLength(path) > maxSocketPathBytes)
    throw new ServerError("SOCKET_PATH_TOO_LONG", `${path}: a socket's path has at most ${maxSocketPathBytes} bytes`);
  // The folder's lock is held by this process: a socket that is there was left by one that was killed.
  rmSync(path, { force: true });
  const server = socketServer(door);
  // The socket is bound within the call, so the mask is narrow for no longer.
  const mask = process.umask(0o177);
  const listening = listen(server, "administration socket", { path });
  process.umask(mask);
  await listening;
  chmodSync(path, 0o600);
  closers.push(() => drain(server));
  return path;
}

async function openNative(
  door: NativeDoorOptions,
  { host, port, names = [] }: NonNullable<ServerOptions["native"]>,
  clock: () => number,
  { log }: ServerOptions,
  closers: (() => Promise<void>)[],
): Promise<string> {
  const anyAddress = host === "0.0.0.0" || host === "::";
  const allNames = [...new Set([...(anyAddress ? [] : [host]), "localhost", "127.0.0.1", ...names])];
  let certificate = await door.authority.issueServerCertificate(allNames);
  const server = tlsServer({ ...door, certificate, clock });
  certificate.privateKeyPem[Symbol.dispose]();
  await listen(server, "native", { host, port });
  const halfLifeMs = (serverCertificateDays * 24 * 60 * 60 * 1000) / 2;
  const renewal = setInterval(() => {
    if (certificate.notAfterMs - clock() > halfLifeMs) return;
    renewServerCertificate(server, door, allNames).then(
      (next) => {
        certificate = next;
      },
      (error: unknown) => log(`the server certificate could not be renewed: ${nameOf(error)}`),
    );
  }, renewalCheckMs).unref();
  closers.push(async () => {
    clearInterval(renewal);
    await drain(server);
  });
  return addressOf(server);
}

async function renewServerCertificate(server: HttpsServer, door: NativeDoorOptions, names: readonly string[]) {
  const next = await door.authority.issueServerCertificate(names);
  replaceCertificate(server, door, next);
  next.privateKeyPem[Symbol.dispose]();
  return next;
}

async function openFisco(
  custody: CustodyService,
  { host, port, mode, superKey, allow }: NonNullable<ServerOptions["fisco"]>,
  { log }: ServerOptions,
  closers: (() => Promise<void>)[],
): Promise<string> {
  const { startFiscoDoor } = await import("./fisco/door.ts");
  try {
    const door = await startFiscoDoor(custody, {
      host,
      port,
      mode,
      superKey,
      operatorCalls: false,
      ...(allow === undefined ? {} : { allow }),
      onFault: (error) => log(`a FISCO request failed: ${nameOf(error)}`),
    });
    closers.push(() => door.close());
    return hostPort(door.address.host, door.address.port);
  } catch (cause) {
    throw cause instanceof RangeError ? cause : listenFailure("fisco", hostPort(host, port), cause);
  }
}

/** A host name or address that may stand in a certificate. */
export function isServerName(name: string): boolean {
  return (
    isIP(name) !== 0 ||
    (name.length <= 253 &&
      /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(name))
  );
}

/** What a log may say of an error that no one foresaw: class, code and message of our own making, no stack, no input. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const code = "code" in error ? ` ${String(error.code)}` : "";
  return `${error.name}${code}: ${error.message}`;
}
