/** The real program as processes: a key manager's folder, commands on it, and `strongroom serve` as a child. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeyManagerClient } from "../../src/client/client.ts";
import { type Enrolment, enroll } from "../../src/client/enroll.ts";
import { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import { initCustody } from "../../src/custody/open.ts";

export const repository: string = join(import.meta.dirname, "../..");
const program = join(repository, "bin/strongroom");

/** Every child that still runs, so that a test that fails leaves none behind. */
const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Added to this process's environment; undefined takes a variable out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly uid?: number;
  readonly gid?: number;
  /** Given on file descriptor 3, then closed. */
  readonly onDescriptor3?: Uint8Array;
  /** Another program of bin/ than `strongroom`. */
  readonly program?: string;
}

interface Started {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<Outcome>;
}

function start(args: readonly string[], options: RunOptions): Started {
  const { uid, gid, onDescriptor3 } = options;
  const child = spawn(options.program === undefined ? program : join(repository, "bin", options.program), [...args], {
    stdio: ["ignore", "pipe", "pipe", ...(onDescriptor3 === undefined ? [] : ["pipe" as const])],
    env: { ...process.env, CREDENTIALS_DIRECTORY: undefined, NOTIFY_SOCKET: undefined, ...options.env },
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  } satisfies SpawnOptions);
  children.add(child);
  const output = { stdout: "", stderr: "" };
  child.stdout?.on("data", (piece: Buffer) => {
    output.stdout += piece;
  });
  child.stderr?.on("data", (piece: Buffer) => {
    output.stderr += piece;
  });
  const descriptor = child.stdio[3];
  if (onDescriptor3 !== undefined && descriptor !== null && descriptor !== undefined && "end" in descriptor) {
    descriptor.on("error", () => {});
    descriptor.end(onDescriptor3);
  }
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      children.delete(child);
      resolve({ code, signal, ...output });
    });
  });
  return { child, output, ended };
}

/** Runs one command to its end. */
export function runStrongroom(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return start(args, options).ended;
}

/** A key manager's data folder and the file that unlocks it, in a folder of their own. */
export class KeyManagerFolder implements Disposable {
  readonly folder: string;
  readonly dataDir: string;
  readonly unlockFile: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.dataDir = join(folder, "km");
    this.unlockFile = join(folder, "unlock.key");
  }

  /** Made under `parent`, unlocked by a key file, so that a start does not wait for scrypt. */
  static async make(parent: string = tmpdir()): Promise<KeyManagerFolder> {
    const made = new KeyManagerFolder(mkdtempSync(join(parent, "strongroom-process-")));
    writeFileSync(made.unlockFile, randomBytes(36).toString("base64"), { mode: 0o600 });
    using unlock = made.unlock();
    await initCustody({ dataDir: made.dataDir, unlock, slotKind: "key-file" });
    return made;
  }

  /** The options by which a command finds and unlocks it. */
  get options(): readonly string[] {
    return ["--data", this.dataDir, "--unlock-file", this.unlockFile];
  }

  /** The caller disposes of it. */
  unlock(): SecretBuffer {
    return SecretBuffer.take(readFileSync(this.unlockFile));
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A temporary folder that goes when its scope ends. */
export class TemporaryFolder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "strongroom-process-"));

  /** A file in it; by default one that only its owner can read. */
  file(name: string, content: string | Uint8Array, mode = 0o600): string {
    const path = join(this.path, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, content, { mode });
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface ServerAddresses {
  readonly pid: number;
  readonly socket: string;
  /** `HOST:PORT`. */
  readonly native: string;
  readonly fisco?: string;
  readonly metrics?: string;
}

/** `strongroom serve` that listens. Disposing of it ends it. */
export class RunningServer implements AsyncDisposable {
  readonly addresses: ServerAddresses;
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  /** Over the administration socket. */
  readonly admin: KeyManagerClient;
  readonly #started: Started;

  constructor(started: Started, addresses: ServerAddresses) {
    this.#started = started;
    this.addresses = addresses;
    this.url = `https://${addresses.native}`;
    this.admin = KeyManagerClient.overSocket(addresses.socket);
  }

  get pid(): number {
    return this.addresses.pid;
  }

  /** What it has printed so far. */
  get output(): { readonly stdout: string; readonly stderr: string } {
    return this.#started.output;
  }

  /** Enrols a node for a key, as the node's host does it. */
  async enrol(name: string, key?: string): Promise<Enrolment> {
    const { token } = await this.admin.nodes.createToken({
      name,
      identity: "file",
      ...(key === undefined ? {} : { key }),
    });
    using text = token;
    return await enroll({ servers: [this.url], token: text });
  }

  /** The caller closes it. */
  clientOf({ caPem, certificatePem, privateKeyPem }: Enrolment): KeyManagerClient {
    return KeyManagerClient.overTls({ servers: [this.url], caPem, identity: { certificatePem, privateKeyPem } });
  }

  /** SIGTERM, and waits for the end. */
  stop(): Promise<Outcome> {
    return this.end("SIGTERM");
  }

  /** SIGKILL, and waits for the end. */
  kill(): Promise<Outcome> {
    return this.end("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  private end(signal: NodeJS.Signals): Promise<Outcome> {
    this.admin.close();
    this.#started.child.kill(signal);
    return this.#started.ended;
  }
}

/**
 * Starts `strongroom serve` on free loopback ports and waits for its ready line.
 *
 * @param manager - Without an unlock file, `more` says what unlocks it.
 * @throws {Error} With all that it printed, when it ends instead.
 */
export async function startServer(
  manager: Pick<KeyManagerFolder, "dataDir"> & Partial<Pick<KeyManagerFolder, "unlockFile">>,
  more: readonly string[] = [],
  options: RunOptions = {},
): Promise<RunningServer> {
  const { dataDir, unlockFile } = manager;
  const unlock = unlockFile === undefined ? [] : ["--unlock-file", unlockFile];
  const place = ["--data", dataDir, ...unlock, "--native", "127.0.0.1:0"];
  const started = start(["serve", "--json", ...place, ...more], options);
  const ready = new Promise<ServerAddresses>((resolve) => {
    started.child.stdout?.on("data", () => {
      const line = /^(\{.*\})\n/.exec(started.output.stdout)?.[1];
      if (line !== undefined) resolve(JSON.parse(line));
    });
  });
  const failed = started.ended.then(({ code, signal, stdout, stderr }) => {
    throw new Error(`strongroom serve ended with ${code ?? signal}: ${stdout}${stderr}`);
  });
  const addresses = await Promise.race([ready, failed]);
  failed.catch(() => {});
  return new RunningServer(started, addresses);
}

/** SHA-256 of every regular file under a folder, by its path there; other things by what they are. */
export function snapshot(folder: string): Readonly<Record<string, string>> {
  if (!existsSync(folder)) return { ".": "missing" };
  const entries = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  return Object.fromEntries(
    entries.map((name) => {
      const path = join(folder, name);
      const status = lstatSync(path);
      if (status.isFile()) return [name, createHash("sha256").update(readFileSync(path)).digest("hex")];
      return [name, status.isDirectory() ? "folder" : status.isSocket() ? "socket" : "other"];
    }),
  );
}
