import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { KeyManagerClient } from "../../src/client/client.ts";
import { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import { initCustody } from "../../src/custody/open.ts";

const program = join(import.meta.dirname, "../../bin/strongroom");

export interface AccessKey {
  readonly accessKeyId: string;
  readonly secret: SecretBuffer;
}

/** Where and as whom an SDK client calls. */
export interface SdkAccess {
  /** Plain HTTP on loopback. */
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** `strongroom serve --aws`, the whole program as a process, with an administrator's client over its socket. */
export class KeyManager {
  readonly pid: number;
  readonly port: number;
  readonly region = "local";
  /** PEM file of the certificate's issuer. */
  readonly caPath: string;
  readonly admin: KeyManagerClient;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ready: Ready, caPath: string) {
    this.pid = ready.pid;
    this.port = Number(ready.aws.split(":").at(-1));
    this.caPath = caPath;
    this.admin = KeyManagerClient.overSocket(ready.socket);
    this.#child = child;
  }

  /**
   * Makes a data folder in `folder` and serves it, without a rate limit that would stand in the way.
   *
   * @param nodeOptions - Of the server's process, as in `NODE_OPTIONS`.
   */
  static async start(folder: string, nodeOptions: string): Promise<KeyManager> {
    const [dataDir, unlockFile, caPath] = [join(folder, "km"), join(folder, "unlock"), join(folder, "ca.pem")];
    const secret = randomBytes(36).toString("base64");
    writeFileSync(unlockFile, secret, { mode: 0o600 });
    using unlock = SecretBuffer.take(Buffer.from(secret));
    await initCustody({ dataDir, unlock, slotKind: "key-file" });
    const at = ["--data", dataDir, "--unlock-file", unlockFile, "--native", "127.0.0.1:0", "--aws", "127.0.0.1:0"];
    const child = spawn(program, ["serve", "--json", ...at, "--aws-rate", "9999999:9999999"], {
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...process.env, NODE_OPTIONS: nodeOptions },
    });
    const ready = await readyLine(child);
    writeFileSync(caPath, await issuerOf(Number(ready.aws.split(":").at(-1))));
    return new KeyManager(child, ready, caPath);
  }

  /** A user and its access key. The caller disposes of the secret. */
  async user(name: string, rights: { readonly role?: "key-user"; readonly groups?: string[] }): Promise<AccessKey> {
    await this.admin.users.create({ name, ...rights });
    const { id, secret } = await this.admin.accessKeys.create(name);
    return { accessKeyId: id, secret };
  }

  sdkAccess({ accessKeyId, secret }: AccessKey): SdkAccess {
    const secretAccessKey = secret.expose((bytes) => bytes.toString());
    return {
      endpoint: `http://127.0.0.1:${this.port}`,
      region: this.region,
      credentials: { accessKeyId, secretAccessKey },
    };
  }

  async stop(): Promise<void> {
    this.admin.close();
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill();
    await ended;
  }
}

interface Ready {
  readonly pid: number;
  readonly socket: string;
  /** `HOST:PORT`. */
  readonly aws: string;
}

async function readyLine(child: ChildProcess): Promise<Ready> {
  if (child.stdout === null) throw new TypeError("the server's stdout must be a pipe");
  const lines = createInterface({ input: child.stdout });
  const ended = once(child, "exit").then(() => {
    throw new Error("strongroom serve ended early");
  });
  ended.catch(() => {});
  const [line] = (await Promise.race([once(lines, "line"), ended])) as [string];
  return JSON.parse(line) as Ready;
}

/** The issuer that the server sends along, in PEM; the server is this process's own child. */
async function issuerOf(port: number): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { issuerCertificate }: DetailedPeerCertificate = socket.getPeerCertificate(true);
  socket.destroy();
  return `-----BEGIN CERTIFICATE-----\n${issuerCertificate.raw.toString("base64")}\n-----END CERTIFICATE-----\n`;
}
