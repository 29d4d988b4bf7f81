import { execFile } from "node:child_process";
import { closeSync, constants, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { promisify } from "node:util";
import { DatabaseError } from "../errors.ts";
import type { InfluxdAddress } from "../proxy/influxd.ts";

/** Where influxd listens, and how its program is started for that. */
export type InfluxdNetwork = OwnNetwork | LoopbackNetwork;

/** util-linux: a network namespace has interfaces and ports of its own (network_namespaces(7)). */
const unshare = "/usr/bin/unshare";
const socketName = "influxd.socket";
const probeMs = 10_000;
const probeEnvironment = { LC_ALL: "C" };
const limitFile = "/proc/sys/user/max_net_namespaces";
/** unshare(2): ENOSPC at the limit of networks, ENOMEM, EAGAIN. */
const passing = /No space left|Cannot allocate memory|temporarily unavailable/;

/**
 * A network that influxd is alone in: it serves HTTP on a socket in a folder that is its owner's alone, and what else it listens
 * on, such as its port for backups, nobody outside of that network reaches.
 */
export class OwnNetwork {
  readonly kind = "own";
  /** influxd starts in it: a socket's path has room for 107 bytes, a folder's may have more. */
  readonly folder: string;
  /** From {@link folder}. */
  readonly socketName: string = socketName;
  readonly command: readonly string[] = [unshare, "--net", "--"];
  readonly #descriptor: number;

  private constructor(folder: string, descriptor: number) {
    this.folder = folder;
    this.#descriptor = descriptor;
  }

  /** Makes the folder; what a killed server left in it goes. */
  static open(folder: string): OwnNetwork {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { mode: 0o700 });
    return new OwnNetwork(folder, openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY));
  }

  get address(): InfluxdAddress {
    return { socketPath: `/proc/self/fd/${this.#descriptor}/${socketName}` };
  }

  /** Once influxd has ended. */
  close(): void {
    closeSync(this.#descriptor);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The machine's own: influxd takes free ports of loopback, which every program on the machine reaches. */
export class LoopbackNetwork {
  readonly kind = "loopback";
  readonly command: readonly string[] = [];
  #port = 0;

  /** influxd has told its port. */
  listensAt(port: number): void {
    this.#port = port;
  }

  get address(): InfluxdAddress {
    return { host: "127.0.0.1", port: this.#port };
  }

  close(): void {}
}

/**
 * A network of influxd's own where this user can make one: root, and root of a user namespace.
 *
 * @param folder - For the socket, outside the volume.
 * @param program - Makes a network, and runs another program in it.
 * @throws {DatabaseError} `INFLUXD_UNUSABLE` when this user can, but not now: a busy machine must not open influxd to every program.
 */
export async function openInfluxdNetwork(folder: string, program = unshare): Promise<InfluxdNetwork> {
  try {
    await promisify(execFile)(program, ["--net", "--", "/bin/true"], { timeout: probeMs, env: probeEnvironment });
  } catch (cause) {
    const { killed, stderr } = cause as { killed?: boolean; stderr?: string };
    if (killed === true || (passing.test(stderr ?? "") && !areForbidden()))
      throw new DatabaseError("INFLUXD_UNUSABLE", "a network of influxd's own cannot be made at the moment", {
        hint: `try again; ${limitFile} says how many networks there may be`,
        cause,
      });
    return new LoopbackNetwork();
  }
  return OwnNetwork.open(folder);
}

/** A machine may be set to have none. */
function areForbidden(): boolean {
  try {
    return readFileSync(limitFile, "utf8").trim() === "0";
  } catch {
    return false;
  }
}
