/** A real influxd on loopback with a fresh folder, and the catalogue that tests keep in memory. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EncryptionCatalogue } from "../../../../src/database/proxy/catalogue.ts";
import { reservePorts } from "../../../reserved-ports.ts";

const program = "/usr/bin/influxd";
export const skip: string | false = existsSync(program) ? false : `${program} is not there: install Debian's influxdb`;

const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

export interface RunningInfluxd {
  readonly host: string;
  readonly port: number;
  /** Its data folder. */
  readonly folder: string;
  kill(): Promise<void>;
  /** Stops it and removes its folder. */
  stop(): Promise<void>;
}

/** Starts influxd and waits until it answers. */
export async function startInfluxd(options: { readonly auth?: boolean } = {}): Promise<RunningInfluxd> {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-influxd-"));
  const [port = 0, rpcPort = 0] = await reservePorts(2);
  writeFileSync(
    join(folder, "influxdb.conf"),
    `reporting-disabled = true
bind-address = "127.0.0.1:${rpcPort}"
[meta]
  dir = "${folder}/meta"
[data]
  dir = "${folder}/data"
  wal-dir = "${folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:${port}"
  auth-enabled = ${options.auth === true}
  log-enabled = false
[logging]
  level = "error"
`,
  );
  const child = spawn(program, ["-config", join(folder, "influxdb.conf")], { stdio: "ignore" });
  children.add(child);
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  child.on("close", () => resolve());
  const deadline = Date.now() + 60_000;
  while (!(await answers(port))) {
    if (Date.now() > deadline || child.exitCode !== null) throw new Error("influxd did not start");
    await new Promise((resume) => setTimeout(resume, 50));
  }
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    children.delete(child);
  };
  return {
    host: "127.0.0.1",
    port,
    folder,
    kill,
    stop: async () => {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function answers(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/ping`)).status === 204;
  } catch {
    return false;
  }
}

/** Keeps rules in memory, encrypts nothing, and tells what was asked of it. */
export class CatalogueInMemory implements EncryptionCatalogue {
  readonly rules = new Set<string>();
  readonly log: string[] = [];
  /** What `available` answers. */
  missing: string | undefined;
  /** Makes the next change fail. */
  failsWith: string | undefined;
  /** Runs before a rule is made. */
  beforeCreate: (database: string) => Promise<void> = async () => {};

  available(): string | undefined {
    return this.missing;
  }

  isEncrypted(database: string): boolean {
    return this.rules.has(database);
  }

  /** What `isConverting` answers for. */
  readonly converting = new Set<string>();

  isConverting(database: string): boolean {
    return this.converting.has(database);
  }

  async create(database: string): Promise<void> {
    await this.beforeCreate(database);
    this.#mayFail();
    this.log.push(`create ${database}`);
    if (this.rules.has(database)) throw new Error("there is such a rule");
    this.rules.add(database);
  }

  async drop(database: string): Promise<void> {
    this.#mayFail();
    this.log.push(`drop ${database}`);
    this.rules.delete(database);
  }

  async sweep(): Promise<void> {
    this.#mayFail();
    this.log.push("sweep");
  }

  async convert(database: string, on: boolean): Promise<void> {
    this.#mayFail();
    this.log.push(`convert ${database} ${on ? "on" : "off"}`);
    if (on) this.rules.add(database);
    else this.rules.delete(database);
  }

  #mayFail(): void {
    const reason = this.failsWith;
    this.failsWith = undefined;
    if (reason !== undefined) throw new Error(reason);
  }
}
