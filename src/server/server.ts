import { chmodSync, rmSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { LegacyMode } from "../custody/contract/legacy.ts";
import { dataFiles } from "../custody/data-files.ts";
import type { CustodyService } from "../custody/service.ts";
import { Authority } from "./authority.ts";
import type { AwsRate } from "./aws/door.ts";
import type { IntegrationStore } from "./console/integrations.ts";
import { OneTimeCodes } from "./console/one-time-codes.ts";
import { listenFailure, ServerError } from "./errors.ts";
import { type CertificateKeeper, withKeptCertificate } from "./kept-certificate.ts";
import { addressOf, drain, hostPort, listen } from "./listener.ts";
import { startMaintenance } from "./maintenance.ts";
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
  readonly aws?: HostPort & {
    /** Further names and addresses by which clients reach this server. */
    readonly names?: readonly string[];
    /** How often one principal may call. */
    readonly rate?: AwsRate;
  };
  readonly console?: HostPort & {
    /** Further names and addresses by which browsers reach this server. */
    readonly names?: readonly string[];
    readonly integrations?: IntegrationStore;
    /** Folder of the built page. @defaultValue `console/dist` of this package */
    readonly pageFolder?: string;
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
  readonly addresses: {
    readonly socket: string;
    native?: string;
    fisco?: string;
    aws?: string;
    console?: string;
    metrics?: string;
  };
  /** SHA-256 of the server issuer's public key, hex: what enrolment tokens pin. */
  readonly caFingerprint: string;
  /** Stops listening, lets requests that have begun end. Custody stays open: it is the caller's. */
  close(): Promise<void>;
}

/** `sun_path` holds 108 bytes with its closing zero (unix(7)). */
const maxSocketPathBytes = 107;

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
    ...(options.console === undefined ? {} : { consoleCodes: new OneTimeCodes(options.clock) }),
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
    if (options.aws !== undefined) addresses.aws = await openAws(door, options.aws, clock, options, closers);
    if (options.console !== undefined)
      addresses.console = await openConsole(door, options.console, clock, options, closers);
    if (options.metrics !== undefined) {
      const server = observationServer(custody, metrics);
      await listen(server, "metrics", options.metrics);
      closers.push(() => drain(server));
      addresses.metrics = addressOf(server);
    }
    closers.push(startMaintenance(custody, options.log));
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
  const { server, stop } = await withKeptCertificate(
    certificateKeeper(door, [host, ...names], clock, log),
    (certificate) => tlsServer({ ...door, certificate, clock }),
    (running, next) => replaceCertificate(running, door, next),
  );
  closers.push(async () => {
    stop();
    if (server.listening) await drain(server);
  });
  await listen(server, "native", { host, port });
  return addressOf(server);
}

async function openAws(
  door: NativeDoorOptions,
  { host, port, names = [], rate }: NonNullable<ServerOptions["aws"]>,
  clock: () => number,
  { log }: ServerOptions,
  closers: (() => Promise<void>)[],
): Promise<string> {
  const { AwsDoor } = await import("./aws/door.ts");
  const aws = new AwsDoor({ ...door, accessKeys: door.custody.users, clock, ...(rate === undefined ? {} : { rate }) });
  const { server, stop } = await withKeptCertificate(
    certificateKeeper(door, [host, ...names], clock, log),
    (certificate) => aws.server(certificate),
    (running, next) => aws.replaceCertificate(running, next),
  );
  closers.push(async () => {
    stop();
    await aws.close(server);
  });
  await listen(server, "aws", { host, port });
  return addressOf(server);
}

async function openConsole(
  door: NativeDoorOptions,
  { host, port, names = [], integrations, pageFolder }: NonNullable<ServerOptions["console"]>,
  clock: () => number,
  { log, clock: sessionClock }: ServerOptions,
  closers: (() => Promise<void>)[],
): Promise<string> {
  const { startConsole } = await import("./console/door.ts");
  const { consoleCodes: codes = new OneTimeCodes(sessionClock) } = door;
  const certificate = certificateKeeper(door, [host, ...names], clock, log);
  const running = await startConsole({
    ...door,
    host,
    port,
    certificate,
    codes,
    integrations: integrations ?? door.custody.integrations,
    pageFolder,
    sessionClock,
  });
  closers.push(() => running.close());
  return running.address;
}

function certificateKeeper(
  { authority }: NativeDoorOptions,
  given: readonly string[],
  clock: () => number,
  log: ServerOptions["log"],
): CertificateKeeper {
  const anyAddress = (name: string) => name === "0.0.0.0" || name === "::";
  const names = [...new Set([...given, "localhost", "127.0.0.1"])].filter((name) => !anyAddress(name));
  const onFailure = (error: unknown) => log(`the server certificate could not be renewed: ${nameOf(error)}`);
  return { authority, names, clock, onFailure };
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
