import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TomlTable } from "smol-toml";
import { DatabaseError } from "../errors.ts";
import { freeLoopbackPort } from "./free-port.ts";
import { influxdConfig } from "./influxd-config.ts";
import type { InfluxdNetwork } from "./influxd-network.ts";
import { type InfluxdProgram, influxdEnvironment } from "./influxd-program.ts";
import type { OutputLog } from "./output-log.ts";

export interface InfluxdStart {
  readonly program: InfluxdProgram;
  /** The operator's settings. */
  readonly settings: TomlTable;
  /** On the volume. */
  readonly dataFolder: string;
  /** On the volume, and influxd's TMPDIR; its configuration is written there. */
  readonly temporaryFolder: string;
  readonly network: InfluxdNetwork;
  /** Takes what it prints. */
  readonly log: OutputLog;
}

/** util-linux: influxd never outlives us, however we end. */
const setpriv = "/usr/bin/setpriv";
/** The last flush of what is in memory. */
const stopMs = 60_000;
const listening = {
  loopback: /Listening on HTTP\b.*?127\.0\.0\.1:(?<port>\d{1,5})\b/,
  own: /Listening on unix socket\b/,
} as const;
/** influxd's own choice: in a network of its own it is free. */
const usualBackupPort = 8088;

/** A running influxd, which only this machine reaches. */
export class InfluxdProcess {
  /** Settles when it has ended, with how. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ended: Promise<string>) {
    this.#child = child;
    this.ended = ended;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * Starts influxd and resolves once it takes requests: it has opened all its shards then, however long that takes.
   *
   * @param signal - Ends the start.
   * @throws {DatabaseError} `INFLUXD_UNUSABLE` with the last that it printed, when it ends before.
   */
  static async start(
    { program, settings, dataFolder, temporaryFolder, network, log }: InfluxdStart,
    signal?: AbortSignal,
  ): Promise<InfluxdProcess> {
    const isOwn = network.kind === "own";
    const backupPort = isOwn ? usualBackupPort : await freeLoopbackPort();
    const socketName = isOwn ? network.socketName : undefined;
    const config = join(temporaryFolder, "influxdb.conf");
    await writeFile(config, influxdConfig(settings, { dataFolder, backupPort, socketName }), { mode: 0o600 });
    const dying = hasSetpriv() ? [setpriv, "--pdeathsig", "KILL", "--"] : [];
    const [file = "", ...args] = [...network.command, ...dying, program.path, "-config", config];
    // Not the volume: whoever starts a program waits until the kernel has changed to its folder.
    const child = spawn(file, args, {
      cwd: isOwn ? network.folder : "/",
      env: { ...influxdEnvironment, TMPDIR: temporaryFolder },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const ended = endOf(child);
    const ready = log.follow([child.stdout, child.stderr], listening[network.kind]);
    const aborted = abortion(signal);
    const outcome = await Promise.race([ready, ended, aborted.promise]);
    aborted.forget();
    if (typeof outcome !== "string") {
      if (!isOwn) network.listensAt(Number(outcome.groups?.port));
      return new InfluxdProcess(child, ended);
    }
    child.kill("SIGKILL");
    await ended;
    throw new DatabaseError("INFLUXD_UNUSABLE", `influxd did not start (${outcome}): ${log.lastError()}`, {
      hint: "its log is influxd.log in the folder root/logs of the instance, while that is served",
    });
  }

  /** SIGTERM, and SIGKILL when it is not gone after a minute. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    const late = setTimeout(() => this.#child.kill("SIGKILL"), stopMs);
    await this.ended;
    clearTimeout(late);
  }

  /** At once: what it had acknowledged is in its log of writes. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(`it could not be started: ${error.message}`));
    child.once("exit", (code, signal) => resolve(code === null ? `ended by ${signal}` : `exit code ${code}`));
  });
}

function abortion(signal: AbortSignal | undefined): { readonly promise: Promise<string>; forget(): void } {
  const { promise, resolve } = Promise.withResolvers<string>();
  const told = () => resolve("it was stopped");
  if (signal?.aborted === true) told();
  signal?.addEventListener("abort", told, { once: true });
  return { promise, forget: () => signal?.removeEventListener("abort", told) };
}

function hasSetpriv(): boolean {
  try {
    accessSync(setpriv, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
