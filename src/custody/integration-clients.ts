import { AwsKmsClient } from "../devices/aws-kms/client.ts";
import { type ClientsByIntegration, upstreamKeyOf } from "../devices/aws-kms/device.ts";
import { openIntegrationSecret } from "../devices/aws-kms/sealed-secret.ts";
import type { AwsKmsSettings } from "../devices/aws-kms/settings.ts";
import type { RootKey } from "../devices/root-key.ts";
import { CustodyError } from "./errors.ts";
import type { IntegrationRecord, KeyRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";

/** A caller of the native door waits 4 s for one server: the upstream's "no answer" must come before. */
const times = { deadlineMs: 3000, attemptMs: 1400, attempts: 2 } as const;

/** A connection to each integration's KMS, opened at its first use and ended when the integration goes. */
export class IntegrationClients implements ClientsByIntegration, Disposable {
  readonly #state: State;
  readonly #root: RootKey;
  readonly #open = new Map<string, AwsKmsClient>();

  /** @param root - Lent until this is disposed of. */
  constructor(state: State, root: RootKey) {
    this.#state = state;
    this.#root = root;
    state.onChange(({ kind, id }) => {
      if (kind === "integration") this.#drop(id);
    });
  }

  /** @throws {CustodyError} `INTEGRATION_NOT_FOUND`. @throws {AwsKmsError} `KMS_SETTINGS_TAMPERED`. */
  clientOf(integration: string): AwsKmsClient {
    const known = this.#open.get(integration);
    if (known !== undefined) return known;
    const record = this.#state.get("integration", integration);
    if (record === undefined)
      throw new CustodyError(
        "INTEGRATION_NOT_FOUND",
        `there is no integration ${JSON.stringify(integration.slice(0, 80))}`,
      );
    const settings = settingsOf(record);
    using secret = openIntegrationSecret(this.#root, integration, settings, Buffer.from(record.box, "base64"));
    const client = new AwsKmsClient(settings, secret, times);
    this.#open.set(integration, client);
    return client;
  }

  [Symbol.dispose](): void {
    for (const name of [...this.#open.keys()]) this.#drop(name);
  }

  #drop(name: string): void {
    this.#open.get(name)?.[Symbol.dispose]();
    this.#open.delete(name);
  }
}

/** What the record holds of the integration's settings. */
export function settingsOf({ region, apiKey, masterKey, endpoint, caPem }: IntegrationRecord): AwsKmsSettings {
  return {
    region,
    apiKey,
    masterKey,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(caPem === undefined ? {} : { caPem }),
  };
}

/** Ids of the keys that need an integration to be of use. */
export function keysOfIntegration(state: State, integration: string): readonly string[] {
  return [...state.all("key")].filter(([, key]) => isReachedBy(key, integration)).map(([id]) => id);
}

function isReachedBy({ id: keyId, origin, suite, versions }: KeyRecord, integration: string): boolean {
  if (origin !== "aws-kms") return false;
  return versions.some(({ version, material }) => {
    if (material === null) return false;
    const upstream = upstreamKeyOf({ keyId, version, suite, material: Buffer.from(material, "base64") });
    return upstream.integration === integration;
  });
}
