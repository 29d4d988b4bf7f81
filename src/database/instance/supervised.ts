import { setTimeout as sleep } from "node:timers/promises";
import type { TomlTable } from "smol-toml";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { SealedCatalogue } from "../catalogue/sealed-catalogue.ts";
import type { InfluxdAddress } from "../proxy/influxd.ts";
import { type InfluxdNetwork, openInfluxdNetwork } from "./influxd-network.ts";
import { InfluxdProcess } from "./influxd-process.ts";
import type { InfluxdProgram } from "./influxd-program.ts";
import { closeInstanceVolume, type InstanceVolume, openInstanceVolume } from "./instance-volume.ts";
import { OutputLog } from "./output-log.ts";
import type { KeySources } from "./settle-key.ts";

export interface SupervisedOptions {
  readonly sources: KeySources;
  /** The instance key; stays the caller's, and has to be there until {@link Supervised.stop}. */
  readonly key: SecretBuffer;
  readonly program: InfluxdProgram;
  /** The operator's settings of influxd. */
  readonly influxdSettings: TomlTable;
  readonly catalogue: SealedCatalogue;
  /** What has to be done on the volume while influxd does not run: called before each start of it. The start waits, and fails with it. */
  readonly beforeInfluxd?: (signal: AbortSignal) => Promise<void>;
  /** influxd runs. */
  readonly afterInfluxd?: () => void;
  /** Something that is stored was found damaged. */
  readonly onDamage: (what: string) => void;
  /** For an operator: what ended, what is started anew, what is damaged. */
  readonly tell: (line: string) => void;
}

const firstWaitMs = 500;
const longestWaitMs = 30_000;
/** Who has run so long begins with the shortest wait again. */
const steadyMs = 60_000;

/** The volume of an instance and the influxd on it, kept running: what ends is started anew, after waits that grow. */
export class Supervised {
  readonly #options: SupervisedOptions;
  readonly #stopping = new AbortController();
  #volume: InstanceVolume;
  #influxd: InfluxdProcess | undefined;
  #log: OutputLog;
  #loop: Promise<void> = Promise.resolve();
  #restarts = 0;
  #wantedRestart: PromiseWithResolvers<void> | undefined;
  readonly #network: InfluxdNetwork;

  private constructor(options: SupervisedOptions, volume: InstanceVolume, network: InfluxdNetwork) {
    this.#options = options;
    this.#volume = volume;
    this.#network = network;
    this.#log = new OutputLog(volume.open.logPath ?? volume.root);
  }

  /**
   * Opens the volume, reads which databases are encrypted, and starts influxd.
   *
   * @throws {VolumeError} @throws {DatabaseError} `INFLUXD_UNUSABLE`: nothing is left open then.
   */
  static async start(options: SupervisedOptions): Promise<Supervised> {
    const volume = await openAndAttach(options);
    let network: InfluxdNetwork | undefined;
    let supervised: Supervised;
    try {
      network = await openInfluxdNetwork(options.sources.paths.influxdFolder);
      supervised = new Supervised(options, volume, network);
      await supervised.#startInfluxd();
    } catch (error) {
      network?.close();
      options.catalogue.detach();
      await closeInstanceVolume(volume);
      throw error;
    }
    supervised.#loop = supervised.#watch();
    return supervised;
  }

  /** Where influxd is now. */
  get address(): InfluxdAddress {
    return this.#network.address;
  }

  /** Whether influxd is in a network of its own, or on loopback. */
  get network(): InfluxdNetwork["kind"] {
    return this.#network.kind;
  }

  /** While it is open; a lost one is opened anew. */
  get volume(): InstanceVolume {
    return this.#volume;
  }

  get influxd(): { readonly version: string; readonly pid?: number; readonly restarts: number } {
    const pid = this.#influxd?.pid;
    return {
      version: this.#options.program.version,
      ...(pid === undefined ? {} : { pid }),
      restarts: this.#restarts,
    };
  }

  /**
   * Stops influxd in good order, has done what is to be done before its start, and starts it again.
   *
   * @throws When it did not start: it is tried again, and told.
   */
  async restartInfluxd(): Promise<void> {
    if (this.#stopping.signal.aborted) throw new Error("the instance is being stopped");
    const influxd = this.#influxd;
    if (influxd === undefined) throw new Error("influxd does not run at the moment");
    this.#wantedRestart ??= Promise.withResolvers();
    const { promise } = this.#wantedRestart;
    promise.catch(() => {});
    await influxd.stop();
    await promise;
  }

  /**
   * Stops influxd, which writes what it has in memory, and closes the volume.
   *
   * @param lastUse - Waited for in between: what is under way on the volume without influxd.
   */
  async stop(lastUse: Promise<unknown> = Promise.resolve()): Promise<void> {
    this.#stopping.abort();
    await this.#influxd?.stop();
    await this.#loop;
    this.#wantedRestart?.reject(new Error("the instance is being stopped"));
    await this.#log.settle();
    await lastUse;
    this.#network.close();
    this.#options.catalogue.detach();
    await closeInstanceVolume(this.#volume);
  }

  async #watch(): Promise<void> {
    let waitMs = firstWaitMs;
    let startedMs = Date.now();
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const lost = this.#volume.open.lost.then((error) => ({ lost: error }));
      const ended = (this.#influxd?.ended ?? Promise.resolve("it does not run")).then((how) => ({ ended: how }));
      const what = await Promise.race([lost, ended]);
      if (signal.aborted) return;
      this.#influxd = "lost" in what ? this.#influxd : undefined;
      if (Date.now() - startedMs > steadyMs) waitMs = firstWaitMs;
      const wanted = this.#wantedRestart;
      this.#wantedRestart = undefined;
      if (wanted === undefined || "lost" in what) {
        this.#tellOf(what, waitMs);
        await sleep(waitMs, undefined, { signal }).catch(() => {});
        waitMs = Math.min(2 * waitMs, longestWaitMs);
      }
      if (signal.aborted) {
        wanted?.reject(new Error("the instance is being stopped"));
        return;
      }
      try {
        // An influxd whose volume is gone gets errors for all it does; it begins anew with what is on the disk.
        if ("lost" in what || (await isLost(this.#volume))) await this.#reopen();
        startedMs = Date.now();
        await this.#startInfluxd();
        if (wanted === undefined) this.#restarts += 1;
        this.#options.tell("influxd runs again");
        wanted?.resolve();
      } catch (error) {
        wanted?.reject(error);
        if (!signal.aborted) this.#options.tell(reasonOf(error));
      }
    }
  }

  #tellOf(what: { readonly lost: Error } | { readonly ended: string }, waitMs: number): void {
    const again = `again in ${waitMs / 1000} s`;
    if ("lost" in what) this.#options.tell(`${what.lost.message}: the volume is opened, and influxd started, ${again}`);
    else if (what.ended !== "it does not run")
      this.#options.tell(`influxd has ended (${what.ended}): ${this.#log.lastError()}; it is started ${again}`);
  }

  async #reopen(): Promise<void> {
    this.#options.catalogue.detach();
    await this.#influxd?.kill();
    this.#influxd = undefined;
    await closeInstanceVolume(this.#volume).catch((error: unknown) => this.#options.tell(reasonOf(error)));
    this.#volume = await openAndAttach(this.#options);
    this.#log = new OutputLog(this.#volume.open.logPath ?? this.#volume.root);
    this.#options.tell("the volume is open again");
  }

  async #startInfluxd(): Promise<void> {
    const { program, influxdSettings: settings, beforeInfluxd, afterInfluxd } = this.#options;
    await beforeInfluxd?.(this.#stopping.signal);
    const { dataPath: dataFolder, temporaryPath: temporaryFolder = dataFolder } = this.#volume.open;
    const start = { program, settings, dataFolder, temporaryFolder, network: this.#network, log: this.#log };
    this.#influxd = await InfluxdProcess.start(start, this.#stopping.signal);
    afterInfluxd?.();
  }
}

async function openAndAttach({ sources, key, catalogue, tell, onDamage }: SupervisedOptions): Promise<InstanceVolume> {
  const volume = await openInstanceVolume(sources, key, (what) => {
    tell(`damaged: ${what}`);
    onDamage(what);
  });
  try {
    await catalogue.attach(volume.control);
    return volume;
  } catch (error) {
    await closeInstanceVolume(volume);
    throw error;
  }
}

async function isLost({ open }: InstanceVolume): Promise<boolean> {
  return (await Promise.race([open.lost, Promise.resolve("served" as const)])) !== "served";
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
