/** `strongroom db serve` over a fresh folder, with a real influxd. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { scryptBounds } from "../../../../src/crypto/kdf.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { sealContainer } from "../../../../src/database/gm/private-key-v2.ts";
import { reservePort } from "../../../reserved-ports.ts";

const cli = new URL("../../../../src/cli/main.ts", import.meta.url).pathname;
const pincodeText = "a pincode of some length";
/** The least that is opened: every start opens it. */
const leastCost = { cost: scryptBounds.minCost, blockSize: scryptBounds.blockSize, parallelization: 1 };

export const skip: string | false = !existsSync("/usr/bin/influxd")
  ? "influxd is not there: install Debian's influxdb"
  : !existsSync("/dev/fuse") || process.getuid?.() !== 0
    ? "sealfs needs /dev/fuse and root"
    : false;

export interface Ended {
  readonly exitCode: number | null;
  readonly output: string;
}

/** A folder with settings, a master key and its pincode. */
export class InstanceInTest {
  readonly folder: string = mkdtempSync(join(tmpdir(), "strongroom-db-"));
  readonly data: string = join(this.folder, "data");
  readonly config: string = join(this.folder, "strongroom.toml");
  readonly withoutKey: string = join(this.folder, "plain.toml");
  readonly pincodeFile: string = join(this.folder, "pincode");
  port = 0;
  #child: ChildProcess | undefined;
  #output = "";
  /** Whether it has ended, and all that it has printed is in the output. */
  #isOver = true;

  static async make(more = ""): Promise<InstanceInTest> {
    const instance = new InstanceInTest();
    instance.port = await reservePort();
    const { scalar, publicKey } = generateKeyPair("sm2");
    using pincode = SecretBuffer.take(Buffer.from(pincodeText));
    writeFileSync(join(instance.folder, "master.key"), await sealContainer({ scalar, publicKey, pincode }, leastCost));
    writeFileSync(instance.pincodeFile, pincodeText, { mode: 0o600 });
    const database = `[database]\ndata = "data"\nlisten = "127.0.0.1:${instance.port}"\ninfluxd = "/usr/bin/influxd"\n${more}`;
    writeFileSync(instance.withoutKey, database);
    writeFileSync(
      instance.config,
      `${database}[security.encryption]\nprovider = "gm-soft"\npublic-key = "${publicKey.toString("hex")}"\npath = "master.key"\npincode-file = "pincode"\n`,
    );
    return instance;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** What it has printed since it was started, or since that was forgotten. */
  get output(): string {
    return this.#output;
  }

  /** So that {@link until} waits for what is yet to come. */
  forgetOutput(): void {
    this.#output = "";
  }

  /** Starts it, and resolves when it is ready; rejects with what it printed when it ends before. */
  async start(config: string = this.config): Promise<void> {
    this.#output = "";
    const child = spawn(process.execPath, [cli, "db", "serve", "--config", config], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#isOver = false;
    child.once("close", () => {
      this.#isOver = true;
    });
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => {
        this.#output += chunk.toString();
      });
    await this.until(/strongroom db: ready/);
  }

  /** Waits until it has printed something so many times. */
  async until(pattern: RegExp, times = 1): Promise<void> {
    const every = new RegExp(pattern.source, "g");
    const deadlineMs = Date.now() + 120_000;
    while ([...this.#output.matchAll(every)].length < times) {
      if (this.#isOver || Date.now() > deadlineMs) throw new Error(`no ${pattern}: ${this.#output}`);
      await new Promise((resume) => setTimeout(resume, 50));
    }
  }

  /** Ends it with a signal, and waits. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || this.#isOver) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    child.kill(signal);
    return ended;
  }

  /** Runs one `strongroom db` command to its end. */
  async run(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const child = spawn(process.execPath, [cli, "db", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => {
        output += chunk.toString();
      });
    const exitCode = await new Promise<number | null>((resolve) => child.once("close", resolve));
    return { exitCode, output };
  }

  async query(q: string): Promise<string> {
    const body = new URLSearchParams({ q });
    return (await fetch(`http://127.0.0.1:${this.port}/query`, { method: "POST", body })).text();
  }

  async write(database: string, lines: string): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/write?db=${database}`, { method: "POST", body: lines });
    await answer.arrayBuffer();
    return answer.status;
  }

  async remove(): Promise<void> {
    await this.end("SIGTERM");
    rmSync(this.folder, { recursive: true, force: true });
  }
}
