import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { generateKeyPair } from "../../src/crypto/curve.ts";
import { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import { sealPrivateKey } from "../../src/database/gm/private-key.ts";
import { freeLoopbackPort } from "../../src/database/instance/free-port.ts";
import { influxdConfig, readInfluxdConfig } from "../../src/database/instance/influxd-config.ts";
import { findInfluxd, influxdEnvironment } from "../../src/database/instance/influxd-program.ts";
import { productEnvironment, productFlags } from "../product-flags.ts";

/** influxd by itself, and `strongroom db serve` with a cipher. */
export const subjectNames = ["plain", "SM4", "SM4 node:crypto", "AES-256-GCM"] as const;
export type SubjectName = (typeof subjectNames)[number];

/** A database that runs. */
export interface Subject {
  readonly name: SubjectName;
  /** Of loopback, for clients. */
  readonly port: number;
  /** What is put behind CREATE DATABASE. */
  readonly clause: string;
  /** All that lies on the disk. */
  readonly folder: string;
  /** Their numbers, by what they do. */
  readonly processes: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

export interface SubjectOptions {
  /** Where its folder is made. */
  readonly work: string;
  /** The influxdb.conf of every subject. */
  readonly influxdConfig: string;
  /** Takes a CPU profile of each Node process of Strongroom. */
  readonly profileFolder: string | undefined;
}

const pincodeText = "pincode of a benchmark";
const startMs = 300_000;
const keptCharacters = 8192;

export async function startSubject(name: SubjectName, folder: string, options: SubjectOptions): Promise<Subject> {
  return name === "plain" ? await startPlain(folder, options) : await startSealed(name, folder, options);
}

/** The same influxd with the same settings as the sealed subjects', on the plain folder. */
async function startPlain(folder: string, { influxdConfig: given }: SubjectOptions): Promise<Subject> {
  mkdirSync(folder, { recursive: true });
  const config = join(folder, "influxdb.conf");
  writeFileSync(
    config,
    influxdConfig(readInfluxdConfig(given), { dataFolder: folder, backupPort: await freeLoopbackPort() }),
  );
  const { path } = await findInfluxd("influxd");
  // util-linux: it does not outlive the bench.
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", path, "-config", config], {
    stdio: ["ignore", "ignore", "pipe"],
    env: influxdEnvironment,
  });
  const port = Number(await printed(child, child.stderr, /Listening on HTTP\b.*?127\.0\.0\.1:(\d+)/));
  return {
    name: "plain",
    port,
    clause: "",
    folder,
    processes: new Map([["influxd", child.pid ?? 0]]),
    stop: () => end("plain", child),
  };
}

/** `strongroom db serve`, as installed. A folder that was made by an earlier start is opened again. */
async function startSealed(name: SubjectName, folder: string, options: SubjectOptions): Promise<Subject> {
  const { work, influxdConfig: config, profileFolder } = options;
  const settings = `${folder}.toml`;
  const port = await freeLoopbackPort();
  writeFileSync(
    settings,
    `[database]
data = "${folder}"
listen = "127.0.0.1:${port}"
influxd = "influxd"
influxd-config = "${config}"
cipher = "${name === "AES-256-GCM" ? "aes-256-gcm" : "sm4-gcm"}"
${await masterKeySettings(work)}`,
  );
  const serverNode = join(work, `${name.replace(/\W/g, "-")}.node`);
  writeFileSync(serverNode, serverScript(name, profileFolder), { mode: 0o755 });
  const main = join(import.meta.dirname, "../../src/cli/main.ts");
  const preload = join(import.meta.dirname, "server-node.ts");
  const child = spawn(
    process.execPath,
    [...productFlags(), ...profileFlags(profileFolder), "--import", preload, main, "db", "serve", "--config", settings],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...productEnvironment(), STRONGROOM_BENCH_SERVER_NODE: serverNode },
    },
  );
  await printed(child, child.stdout, /db: (ready)/);
  return {
    name,
    port,
    clause: " WITH ENCRYPTION ON",
    folder,
    processes: processesOf(child.pid ?? 0),
    stop: () => end(name, child),
  };
}

let masterKey: Promise<string> | undefined;

function masterKeySettings(work: string): Promise<string> {
  masterKey ??= makeMasterKey(work);
  return masterKey;
}

async function makeMasterKey(work: string): Promise<string> {
  const { scalar, publicKey } = generateKeyPair("sm2");
  using pincode = SecretBuffer.take(Buffer.from(pincodeText));
  const [key, pincodeFile] = [join(work, "master.key"), join(work, "pincode")];
  writeFileSync(key, await sealPrivateKey({ scalar, publicKey, pincode }, "v2"));
  writeFileSync(pincodeFile, pincodeText, { mode: 0o600 });
  return `[security.encryption]
provider = "gm-soft"
public-key = "${publicKey.toString("hex")}"
path = "${key}"
pincode-file = "${pincodeFile}"
`;
}

/** What stands for Node where the volume's server is started: that gets no environment but its own. */
function serverScript(name: SubjectName, profileFolder: string | undefined): string {
  const sm4 = name === "SM4 node:crypto" ? "STRONGROOM_SM4=openssl " : "";
  const flags = profileFlags(profileFolder).map((flag) => `'${flag}' `);
  return `#!/bin/sh\n${sm4}exec '${process.execPath}' ${flags.join("")}"$@"\n`;
}

function profileFlags(folder: string | undefined): readonly string[] {
  return folder === undefined ? [] : ["--cpu-prof", "--cpu-prof-interval=500", `--cpu-prof-dir=${folder}`];
}

/** What the pattern's first group matches in what a program prints; rejects when the program ends before. */
function printed(child: ChildProcess, output: Readable | null, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let before = "";
    output?.on("data", (chunk: Buffer) => {
      before = (before + chunk.toString()).slice(-keptCharacters);
      const found = pattern.exec(before)?.[1];
      if (found !== undefined) resolve(found);
    });
    const signal = AbortSignal.timeout(startMs);
    signal.addEventListener("abort", () => reject(new Error(`${child.spawnfile} does not get ready`)));
    child.once("exit", (exitCode) => reject(new Error(`${child.spawnfile} ended with ${exitCode}: ${before}`)));
  });
}

async function end(name: SubjectName, child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const [exitCode] = await ended;
  if (exitCode !== 0) throw new Error(`${name} ended with ${exitCode}`);
}

/** The proxy (which owns the volume), the volume's server and influxd. */
function processesOf(proxy: number): ReadonlyMap<string, number> {
  const found = new Map([["proxy", proxy]]);
  for (const pid of descendantsOf(proxy)) {
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    if (command.includes("sealfs/server")) found.set("sealfs", pid);
    else if (/influxd\0-config/.test(command)) found.set("influxd", pid);
  }
  return found;
}

function descendantsOf(pid: number): readonly number[] {
  const own = readdirSync("/proc")
    .map(Number)
    .filter((each) => Number.isInteger(each) && parentOf(each) === pid);
  return own.flatMap((each) => [each, ...descendantsOf(each)]);
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return 0;
  }
}
