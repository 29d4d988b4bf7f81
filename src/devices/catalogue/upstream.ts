import { readFileSync } from "node:fs";
import { AwsKmsClient } from "../aws-kms/client.ts";
import { AwsKmsDevice } from "../aws-kms/device.ts";
import { checkSettings } from "../aws-kms/settings.ts";
import type { DeviceKey, DeviceKeyChoice, UpstreamKeyChoice } from "../device.ts";
import { readSecretSource } from "../native/secret-source.ts";
import type { AwsKmsEntry } from "./entry.ts";
import { CatalogueError } from "./errors.ts";
import type { Catalogue } from "./read.ts";

/** A key in a KMS as a device of its own, with the access key that `devices.toml` names. It ends its connection when it ends. */
class NamedKmsDevice extends AwsKmsDevice {
  readonly #client: AwsKmsClient;
  readonly #name: string;

  constructor(name: string, client: AwsKmsClient) {
    super({ clientOf: () => client });
    this.#client = client;
    this.#name = name;
  }

  /** @param choice - `keyId` is an id, ARN, `alias/NAME` or alias ARN at the KMS; by default the entry's `master_key`. */
  override createKey(key: Omit<DeviceKey, "material">, choice?: UpstreamKeyChoice | DeviceKeyChoice): Promise<Buffer> {
    const upstreamKey = choice === undefined ? undefined : "integration" in choice ? choice.key : choice.keyId;
    return super.createKey(key, {
      integration: this.#name,
      ...(upstreamKey === undefined ? {} : { key: upstreamKey }),
    });
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    this.#client[Symbol.dispose]();
  }
}

/** Opens the KMS of an entry. @throws {AwsKmsError} `KMS_SETTINGS_INVALID`. @throws {DeviceError} `DEVICE_PIN_UNSAFE`. */
export function openUpstream(catalogue: Pick<Catalogue, "at">, entry: AwsKmsEntry): AwsKmsDevice {
  const settings = checkSettings({
    region: entry.region,
    apiKey: entry.access_key_id,
    masterKey: entry.master_key,
    ...(entry.endpoint === undefined ? {} : { endpoint: entry.endpoint }),
    ...(entry.ca_file === undefined ? {} : { caPem: readCa(catalogue.at(entry.ca_file)) }),
  });
  using secret = readSecretSource(
    entry.secret_file === undefined
      ? { credential: entry.secret_credential ?? "" }
      : { file: catalogue.at(entry.secret_file) },
  );
  return new NamedKmsDevice(entry.name, new AwsKmsClient(settings, secret));
}

function readCa(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new CatalogueError("CATALOGUE_INVALID", `${file} cannot be read: ${(cause as NodeJS.ErrnoException).code}`, {
      cause,
    });
  }
}
