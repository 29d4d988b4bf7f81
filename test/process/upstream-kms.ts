/** A second Strongroom as the upstream KMS of the one that is tested: its own process, reached by its AWS door alone. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import { reservePort } from "../reserved-ports.ts";
import { KeyManagerFolder, type RunningServer, runStrongroom, startServer } from "./running-server.ts";

export const userName = "KMS-User1";

export class UpstreamKms implements AsyncDisposable {
  readonly #manager: KeyManagerFolder;
  #server: RunningServer;
  readonly apiKey: string;
  /** Id of the key that `alias/kaleido` points at. */
  readonly keyId: string;
  readonly #port: number;

  private constructor(
    manager: KeyManagerFolder,
    server: RunningServer,
    { apiKey, keyId, port }: { readonly apiKey: string; readonly keyId: string; readonly port: number },
  ) {
    this.#manager = manager;
    this.#server = server;
    this.apiKey = apiKey;
    this.keyId = keyId;
    this.#port = port;
  }

  /** With a master key `alias/kaleido` and a user that may use keys. */
  static async start(): Promise<UpstreamKms> {
    const manager = await KeyManagerFolder.make();
    const port = await reservePort();
    const server = await startServer(manager, ["--aws", `127.0.0.1:${port}`]);
    const { keyId } = await server.admin.keys.create({ alias: "alias/kaleido" });
    await server.admin.users.create({ name: userName, role: "key-user" });
    const { id, secret } = await server.admin.accessKeys.create(userName);
    using held = secret;
    held.expose((bytes) => writeFileSync(join(manager.folder, "api-secret"), bytes, { mode: 0o600 }));
    return new UpstreamKms(manager, server, { apiKey: id, keyId, port });
  }

  get admin(): RunningServer["admin"] {
    return this.#server.admin;
  }

  /** Of the server's process. */
  get pid(): number {
    return this.#server.addresses.pid;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get secretFile(): string {
    return join(this.#manager.folder, "api-secret");
  }

  get secretBytes(): Buffer {
    return readFileSync(this.secretFile);
  }

  /** The caller disposes of it. */
  secret(): SecretBuffer {
    return SecretBuffer.take(readFileSync(this.secretFile));
  }

  /** The options of `strongroom integration create`, but for where it is kept. */
  get options(): readonly string[] {
    return ["--region", "local", "--api-key", this.apiKey, "--api-secret-file", this.secretFile];
  }

  /** PEM of what the door's certificate chains to. */
  async caPem(): Promise<string> {
    const { caPem, privateKeyPem } = await this.#server.enrol("ca-reader");
    privateKeyPem[Symbol.dispose]();
    return caPem;
  }

  /** Names of operations on record with their outcome, such as `kms:Decrypt done`, by clients of the AWS door. */
  async record(): Promise<readonly string[]> {
    const records = await this.admin.audit.read({ after: 0, limit: 10_000 });
    return records.filter(({ door }) => door === "aws").map(({ action, result }) => `${action} ${result}`);
  }

  stop(): Promise<unknown> {
    return this.#server.stop();
  }

  /** At the same port as before. */
  async restart(): Promise<void> {
    this.#server = await startServer(this.#manager, ["--aws", `127.0.0.1:${this.#port}`]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.kill();
    this.#manager[Symbol.dispose]();
  }
}

/** Runs a command that must succeed and gives its JSON. */
export async function strongroomJson(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runStrongroom([...args, "--json"]);
  if (code !== 0) throw new Error(`strongroom ${args.join(" ")} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}
