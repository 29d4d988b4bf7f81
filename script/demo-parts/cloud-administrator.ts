/** An administrator who knows AWS KMS only: its own client, pointed at the key manager. */
import { DescribeKeyCommand, DisableKeyCommand, EnableKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import type { Commands } from "./commands.ts";
import type { Stage } from "./stage.ts";

interface NewUser {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export class CloudAdministrator {
  readonly #stage: Stage;
  readonly #endpoint: string;
  readonly #client: KMSClient;

  private constructor(stage: Stage, endpoint: string, credentials: NewUser) {
    this.#stage = stage;
    this.#endpoint = endpoint;
    this.#client = new KMSClient({ endpoint, region: "local", credentials, maxAttempts: 1 });
  }

  /** A user with the rights of an administrator and an access key, made at the key manager in `km`. */
  static async hire(stage: Stage, commands: Commands, endpoint: string): Promise<CloudAdministrator> {
    const { stdout } = await commands.run([
      "user",
      "create",
      "cloud-admin",
      "--role",
      "admin",
      "--json",
      "--data",
      "km",
    ]);
    return new CloudAdministrator(stage, endpoint, JSON.parse(stdout) as NewUser);
  }

  /** The id that the key behind an alias has. */
  async keyIdOf(alias: string): Promise<string> {
    this.#show("describe-key", alias);
    const { KeyMetadata } = await this.#client.send(new DescribeKeyCommand({ KeyId: alias }));
    if (KeyMetadata?.KeyId === undefined) throw new Error(`${alias} is no key`);
    return KeyMetadata.KeyId;
  }

  async disable(keyId: string): Promise<void> {
    this.#show("disable-key", keyId);
    await this.#client.send(new DisableKeyCommand({ KeyId: keyId }));
  }

  async enable(keyId: string): Promise<void> {
    this.#show("enable-key", keyId);
    await this.#client.send(new EnableKeyCommand({ KeyId: keyId }));
  }

  close(): void {
    this.#client.destroy();
  }

  /** As the AWS command line would say it. */
  #show(operation: string, key: string): void {
    this.#stage.say(`AWS SDK: aws kms ${operation} --key-id ${key} --endpoint-url ${this.#endpoint}`);
  }
}
