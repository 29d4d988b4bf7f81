/** The demo's database instance: its settings, its master keys, and `strongroom db serve` over it. */
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { InstanceStatus } from "../../../src/database/instance/status.ts";
import { type Commands, end, withShortKeys } from "../commands.ts";
import { type Ran, run } from "../hsm/shell.ts";
import type { Stage } from "../stage.ts";

const fctools = join(import.meta.dirname, "../../../bin/fctools");

/** The public half of a master key, and the names of the files with the private half and its pincode. */
export interface MasterKey {
  readonly publicKey: string;
  readonly privateKeyFile: string;
  readonly pincodeFile: string;
}

export class DemoInstance {
  readonly data = "tsdb";
  readonly config = "strongroom.toml";
  readonly port: number;
  readonly #stage: Stage;
  readonly #commands: Commands;
  readonly #folder: string;
  #serving: ChildProcess | undefined;
  #told = "";

  constructor(parts: {
    readonly stage: Stage;
    readonly commands: Commands;
    readonly folder: string;
    readonly port: number;
  }) {
    this.#stage = parts.stage;
    this.#commands = parts.commands;
    this.#folder = parts.folder;
    this.port = parts.port;
  }

  /** Makes a master key by `fctools`, under a pincode of its own. */
  async makeMasterKey(name: string): Promise<MasterKey> {
    const [privateKeyFile, pincodeFile] = [`${name}.key`, `${name}.pincode`];
    this.#write(pincodeFile, randomBytes(15).toString("base64"));
    const made = await this.fctools(["gm", "genkeypair", "--format", "v2", "--pincode-file", pincodeFile, "--json"]);
    const { publicKey, privateKey } = JSON.parse(made.stdout) as { publicKey: string; privateKey: string };
    this.#write(privateKeyFile, privateKey);
    return { publicKey, privateKeyFile, pincodeFile };
  }

  /** Runs `fctools` to its end, whatever that is. */
  async fctools(args: readonly string[]): Promise<Ran> {
    this.#stage.command(`fctools ${args.map(withShortKeys).join(" ")}`);
    return run(undefined, this.#folder, ["fctools", ...args], fctools);
  }

  /** Runs Debian's `influx`, and shows what it prints, but for its advice after each error. */
  async influx(args: readonly string[]): Promise<Ran> {
    const line = ["influx", "-port", String(this.port), ...args];
    this.#stage.command(line.map((word) => (/\s/.test(word) ? `'${word}'` : word)).join(" "));
    const ended = await run(undefined, this.#folder, line);
    const said = ended.exitCode === 0 ? `${ended.stdout}${ended.stderr}` : ended.stderr;
    for (const each of said.split("\n")) if (each !== "") this.#stage.say(each);
    return ended;
  }

  /** The text of its settings; with a master key or without. */
  settings(key?: MasterKey, listen = `127.0.0.1:${this.port}`): string {
    const database = `[database]\ndata = "${this.data}"\nlisten = "${listen}"\n`;
    if (key === undefined) return database;
    const { publicKey, privateKeyFile, pincodeFile } = key;
    return `${database}\n[security.encryption]\nprovider = "gm-soft"\npublic-key = "${publicKey}"\ntype = "file"\npath = "${privateKeyFile}"\npincode-file = "${pincodeFile}"\n`;
  }

  writeSettings(file: string, text: string): void {
    this.#write(file, text);
  }

  /** Starts it, and returns when clients can connect. */
  async start(config: string = this.config): Promise<void> {
    const child = this.#commands.start(["db", "serve", "--config", config]);
    this.#serving = child;
    this.#told = "";
    const ready = new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr])
        stream?.setEncoding("utf8").on("data", (text: string) => {
          this.#told += text;
          if (/^strongroom db: ready/m.test(this.#told)) resolve();
        });
      child.once("close", (code) => reject(new Error(`strongroom db serve ended with ${code}\n${this.#told}`)));
    });
    await ready;
    for (const line of this.#told.trimEnd().split("\n")) this.#stage.say(line.replaceAll(`${this.#folder}/`, ""));
  }

  /** Its exit code. */
  async stop(): Promise<number | null> {
    return this.#serving === undefined ? null : end(this.#serving);
  }

  /** No orderly end: SIGKILL. */
  async kill(): Promise<void> {
    const child = this.#serving;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, "close");
    this.#stage.command(`kill -9 ${child.pid}`);
    child.kill("SIGKILL");
    await ended;
  }

  async status(): Promise<InstanceStatus> {
    const { stdout } = await this.#commands.run(["db", "status", "--config", this.config, "--json"]);
    return JSON.parse(stdout) as InstanceStatus;
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.#folder, name), text, { mode: 0o600 });
  }
}
