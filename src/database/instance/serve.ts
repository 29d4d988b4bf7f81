import { existsSync } from "node:fs";
import { createServer } from "node:net";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { OwnerLock } from "../../volume/owner-lock.ts";
import { placePaths } from "../../volume/place.ts";
import { SealedCatalogue } from "../catalogue/sealed-catalogue.ts";
import { ConvertibleCatalogue } from "../conversion/convertible-catalogue.ts";
import { DatabaseConversions } from "../conversion/database-conversions.ts";
import { DatabaseError } from "../errors.ts";
import { ChangeableKeyHolder } from "../holder/changeable-holder.ts";
import type { OpenedKeyHolder } from "../holder/opened-holder.ts";
import { rotateMasterRequest, rotationHandler } from "../holder/rotation-command.ts";
import { settleRotation } from "../holder/settle-rotation.ts";
import type { EncryptionCatalogue } from "../proxy/catalogue.ts";
import { DatabaseProxy } from "../proxy/proxy.ts";
import type { DatabaseSettings } from "../settings.ts";
import { lockInstance } from "../transfer/backup.ts";
import { type AdminHandlers, AdminSocket } from "./admin-socket.ts";
import { tellsOfRefusedData } from "./damage-told.ts";
import { otherDoors, readInfluxdConfig } from "./influxd-config.ts";
import { findInfluxd } from "./influxd-program.ts";
import { makeInstanceFolder } from "./instance-folder.ts";
import { settleInstance } from "./instance-volume.ts";
import { type KeySources, keyFileOf, keyFileTrouble } from "./settle-key.ts";
import { databasesOf, type InstanceStatus, masterKeySince, withSizes } from "./status.ts";
import { statusRequest } from "./status-request.ts";
import { Supervised } from "./supervised.ts";
import { swapWarning } from "./swap-warning.ts";
import { withoutNames } from "./without-names.ts";

export interface ServeOptions {
  /** Reads the settings, again when a change of the master key has changed them. */
  readonly readSettings: () => DatabaseSettings;
  /** Opens the master key with its pincode; undefined without the settings of encryption. */
  readonly openHolder: (settings: DatabaseSettings) => Promise<OpenedKeyHolder | undefined>;
  /** For an operator. */
  readonly tell: (line: string) => void;
}

/** Keys of shards that expired, of folders that influxd removed by itself. */
const sweepEveryMs = 10 * 60_000;
const drainMs = 10_000;

interface ServedParts {
  readonly lock: OwnerLock;
  readonly key: SecretBuffer;
  readonly holder: ChangeableKeyHolder | undefined;
  readonly catalogue: SealedCatalogue;
  readonly supervised: Supervised;
  readonly proxy: DatabaseProxy;
  readonly conversions: DatabaseConversions;
  readonly settings: DatabaseSettings;
  readonly sources: KeySources;
}

/** A database instance that serves clients, until it is stopped. */
export class ServedInstance {
  readonly #parts: ServedParts;
  readonly #sweeping: NodeJS.Timeout;
  #admin: AdminSocket | undefined;

  private constructor(parts: ServedParts, tell: (line: string) => void) {
    this.#parts = parts;
    this.#sweeping = setInterval(() => {
      parts.catalogue.sweep().catch((error: unknown) => tell(`keys of removed shards are kept: ${reasonOf(error)}`));
    }, sweepEveryMs);
    this.#sweeping.unref();
  }

  /**
   * Starts an instance, making it if it is not there. The order: settings, master key (a wrong pincode opens nothing), influxd, the
   * address for clients, the lock, the instance key, the volume, influxd, the proxy, the socket for commands.
   *
   * @throws {DatabaseError} Everything of its table. @throws {VolumeError}
   */
  static async start({ readSettings, openHolder, tell }: ServeOptions): Promise<ServedInstance> {
    let settings = readSettings();
    const influxdSettings = settings.influxdConfig === undefined ? {} : readInfluxdConfig(settings.influxdConfig);
    let opened = await openHolder(settings);
    let lock: OwnerLock | undefined;
    let key: SecretBuffer | undefined;
    let supervised: Supervised | undefined;
    let proxy: DatabaseProxy | undefined;
    let conversions: DatabaseConversions | undefined;
    try {
      const unsafe = swapWarning();
      if (unsafe !== undefined) tell(unsafe);
      const program = await findInfluxd(settings.influxd);
      await refuseTakenAddress(settings.listen);
      const paths = makeInstanceFolder(settings.dataFolder);
      lock = await lockInstance(paths);
      if (opened !== undefined && (await settleRotation(paths, opened)) === "settings-changed") {
        tell("a change of the master key is completed: the settings name the new one");
        await opened[Symbol.asyncDispose]();
        opened = undefined;
        settings = readSettings();
        opened = await openHolder(settings);
        // With the new key the former one's envelopes go, now and not at the next start.
        if (opened !== undefined) await settleRotation(paths, opened);
      }
      const holder = opened === undefined ? undefined : new ChangeableKeyHolder(opened);
      const sources: KeySources = { paths, metadataKey: settings.metadataKey, holder };
      const settled = await settleInstance(sources, settings.cipher);
      key = settled.key;
      if (settled.made) tell(`a new instance is made in ${paths.folder}`);
      tell(whereTheKeyIs(sources));
      const trouble = keyFileTrouble(sources, settled.key);
      if (trouble !== undefined) tell(trouble);
      const unavailable = settings.encryption === undefined ? missingSettings : undefined;
      const volumeRoot = placePaths({ folder: paths.folder }).root;
      const catalogue = new SealedCatalogue({ volumeRoot, unavailable });
      const converting = new DatabaseConversions({
        ...{ volumeRoot, catalogue, tell },
        restartInfluxd: () => running().supervised.restartInfluxd(),
        holdRequests: () => running().proxy.hold(drainMs),
        goOn: () => running().proxy.goOn(),
      });
      const running = () => {
        if (supervised === undefined || proxy === undefined) throw new Error("the instance is being started");
        return { supervised, proxy };
      };
      const { onDamage: policy } = settings;
      const onDamage = (what: string) => {
        // influxd leaves out what it cannot read, and answers as if it had never been there.
        if (policy !== "refuse" || !tellsOfRefusedData(what) || catalogue.available() !== undefined) return;
        catalogue.close(damagedStore);
        tell(`encrypted databases are closed: ${damagedStore}`);
      };
      const options = { sources, key, program, influxdSettings, catalogue, tell, onDamage };
      supervised = await Supervised.start({
        ...options,
        beforeInfluxd: (signal) => converting.beforeInfluxd(signal),
        // At the first start of influxd nobody can be held yet.
        afterInfluxd: () => proxy && converting.afterInfluxd(),
      });
      conversions = converting;
      if (unavailable !== undefined && catalogue.encrypted.size > 0)
        tell(`encrypted databases stay closed (${catalogue.encrypted.size}): ${unavailable}`);
      for (const line of networkLines(supervised, otherDoors(influxdSettings))) tell(line);
      proxy = await openProxy(settings, supervised, new ConvertibleCatalogue(catalogue, conversions), tell);
      const parts = { lock, key, holder, catalogue, supervised, proxy, conversions, settings, sources };
      const served = new ServedInstance(parts, tell);
      await served.#answerCommands();
      conversions.afterInfluxd();
      return served;
    } catch (error) {
      const converted = conversions?.stop();
      await proxy?.close(0);
      await supervised?.stop(converted);
      key?.[Symbol.dispose]();
      lock?.release();
      await opened?.[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where clients connect. */
  get address(): string {
    const { host } = this.#parts.settings.listen;
    return `${host.includes(":") ? `[${host}]` : host}:${this.#parts.proxy.port}`;
  }

  get influxdVersion(): string {
    return this.#parts.supervised.influxd.version;
  }

  async status(): Promise<InstanceStatus> {
    const { supervised, catalogue, conversions, sources } = this.#parts;
    const { control, root } = supervised.volume;
    const [keys, rules] = [await control.keys(), await control.rules()];
    const since = await masterKeySince(sources.paths.envelopeFile);
    const unavailable = catalogue.available();
    const conversion = conversions.status;
    return {
      state: "served",
      cipher: keys.suite === "sm" ? "sm4-gcm" : "aes-256-gcm",
      ...(keys.publicKey === undefined ? {} : { masterKey: keys.publicKey }),
      ...(since === undefined ? {} : { masterKeySince: since }),
      databases: await withSizes(databasesOf(keys, rules), root),
      served: {
        pid: process.pid,
        listen: this.address,
        influxd: supervised.influxd,
        ...(unavailable === undefined ? {} : { encryptionUnavailable: unavailable }),
        ...(conversion === undefined ? {} : { conversion }),
      },
    };
  }

  /** In good order: requests that run are answered, influxd writes what it has in memory, the volume is closed. */
  async stop(): Promise<void> {
    const { lock, key, holder, supervised, proxy, conversions } = this.#parts;
    clearInterval(this.#sweeping);
    await this.#admin?.close();
    const converted = conversions.stop();
    await proxy.close(drainMs);
    try {
      await supervised.stop(converted);
    } finally {
      key[Symbol.dispose]();
      await holder?.[Symbol.asyncDispose]();
      lock.release();
    }
  }

  async #answerCommands(): Promise<void> {
    const { supervised, holder, settings, sources } = this.#parts;
    const { paths } = sources;
    const handlers: Map<string, (parameters: unknown) => Promise<unknown>> = new Map([
      [statusRequest, () => this.status()],
    ]);
    if (holder !== undefined && settings.encryption !== undefined) {
      const running = {
        paths,
        holder,
        get control() {
          return supervised.volume.control;
        },
      };
      handlers.set(rotateMasterRequest, rotationHandler(running, settings.encryption));
    }
    this.#admin = await AdminSocket.open(paths.adminSocket, handlers satisfies AdminHandlers);
  }
}

const missingSettings =
  "encryption is not configured: provider and what goes with it in [security.encryption] are missing (provider, public-key, path)";

const damagedStore =
  "stored data is damaged, and answers could lack some of it: restore a backup, or start with on-damage = tell of [database] to read what is left";

async function openProxy(
  { listen }: DatabaseSettings,
  supervised: Supervised,
  catalogue: EncryptionCatalogue,
  tell: (line: string) => void,
): Promise<DatabaseProxy> {
  try {
    return await DatabaseProxy.open({
      influxd: () => supervised.address,
      listen,
      catalogue,
      // Without the database's name: this goes to logs outside the volume, where names are encrypted.
      note: ({ what, reason }) => tell(`${what}: ${withoutNames(reason)}`),
    });
  } catch (cause) {
    throw listenFailed(listen, cause);
  }
}

function networkLines({ network }: Supervised, doors: readonly string[]): readonly string[] {
  if (network === "loopback")
    return [
      "influxd listens on loopback: it cannot have a network of its own here (that takes root and /usr/bin/unshare), and programs on " +
        "this machine reach it without the proxy",
    ];
  if (doors.length === 0) return [];
  return [`nothing can come in by ${doors.join(", ")} of influxd-config: influxd is in a network of its own`];
}

/** Finds out that clients could not connect before anything is opened. */
async function refuseTakenAddress(listen: DatabaseSettings["listen"]): Promise<void> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(listen.port, listen.host, resolve);
  try {
    await promise;
  } catch (cause) {
    throw listenFailed(listen, cause);
  }
  await new Promise<void>((closed) => server.close(() => closed()));
}

function listenFailed({ host, port }: DatabaseSettings["listen"], cause: unknown): DatabaseError {
  const code = (cause as NodeJS.ErrnoException).code;
  const { why, first = "" } = listenFailures.get(code ?? "") ?? { why: String(code) };
  return new DatabaseError("LISTEN_FAILED", `clients cannot connect to ${host}:${port}: ${why}`, {
    hint: `${first}give another address with listen of [database] (--listen HOST:PORT)`,
    cause,
  });
}

const listenFailures: ReadonlyMap<string, { readonly why: string; readonly first?: string }> = new Map([
  ["EADDRINUSE", { why: "another program listens there", first: "stop that program, or " }],
  ["EADDRNOTAVAIL", { why: "this machine does not have that address" }],
  ["ENOTFOUND", { why: "there is no such host" }],
  ["EACCES", { why: "this user may not listen on such a port" }],
]);

function whereTheKeyIs(sources: KeySources): string {
  const file = keyFileOf(sources);
  const enveloped = existsSync(sources.paths.envelopeFile) || sources.holder !== undefined;
  if (file === undefined) return "names and metadata are under the master key alone (metadata-key = master)";
  const also = enveloped ? ", and under the master key" : "";
  return `the key to names and metadata, not to encrypted databases, is in ${file}${also} (metadata-key = file)`;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
