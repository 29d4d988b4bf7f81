import assert from "node:assert/strict";
import { KMSClient } from "@aws-sdk/client-kms";
import { KeyManagerFolder, type RunningServer, runStrongroom, startServer } from "../../running-server.ts";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** `strongroom serve --aws` as a process, with an administrator and a key user that the command line made. */
export class AwsServer implements AsyncDisposable {
  readonly region = "local";
  readonly endpoint: string;
  readonly adminCredentials: Credentials;
  readonly userCredentials: Credentials;
  /** Manages keys. */
  readonly admin: KMSClient;
  /** Uses keys. */
  readonly user: KMSClient;
  readonly #folder: KeyManagerFolder;
  readonly #server: RunningServer;

  private constructor(folder: KeyManagerFolder, server: RunningServer, admin: Credentials, user: Credentials) {
    const { aws } = server.addresses as unknown as { readonly aws: string };
    this.#folder = folder;
    this.#server = server;
    this.endpoint = `http://${aws}`;
    this.adminCredentials = admin;
    this.userCredentials = user;
    this.admin = this.client(admin);
    this.user = this.client(user);
  }

  static async start(): Promise<AwsServer> {
    const folder = await KeyManagerFolder.make();
    const server = await startServer(folder, ["--aws", "127.0.0.1:0"]);
    const admin = await newUser(folder, "adam", "admin");
    return new AwsServer(folder, server, admin, await newUser(folder, "uma", "key-user"));
  }

  client(credentials: Credentials): KMSClient {
    return new KMSClient({ endpoint: this.endpoint, region: this.region, credentials, maxAttempts: 1 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.admin.destroy();
    this.user.destroy();
    await this.#server[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

async function newUser(folder: KeyManagerFolder, name: string, role: string): Promise<Credentials> {
  const args = ["user", "create", name, "--role", role, "--json", "--data", folder.dataDir];
  const { code, stdout, stderr } = await runStrongroom(args);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Credentials;
}
