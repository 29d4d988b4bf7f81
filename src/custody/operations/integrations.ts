import { X509Certificate } from "node:crypto";
import { AwsKmsError } from "../../devices/aws-kms/errors.ts";
import { sealIntegrationSecret } from "../../devices/aws-kms/sealed-secret.ts";
import { type AwsKmsSettings, checkSecret, checkSettings, defaultMasterKeys } from "../../devices/aws-kms/settings.ts";
import type { RootKey } from "../../devices/root-key.ts";
import type {
  CreateIntegrationInput,
  IntegrationDescription,
  IntegrationOperations,
} from "../contract/integrations.ts";
import { type Core, performOnAccount } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { keysOfIntegration, settingsOf } from "../integration-clients.ts";
import { checkPrincipalName } from "../names.ts";
import type { Caller } from "../service.ts";
import { change, type IntegrationRecord } from "../state/records.ts";

/** Integrations with upstream key management services, kept in the key manager's own state. */
export class Integrations implements IntegrationOperations {
  readonly #core: Core;
  readonly #root: RootKey;

  /** @param root - Lent until custody closes. */
  constructor(core: Core, root: RootKey) {
    this.#core = core;
    this.#root = root;
  }

  async create(caller: Caller, input: CreateIntegrationInput): Promise<IntegrationDescription> {
    const name = checkPrincipalName(input.name);
    const settings = settingsOfInput(input);
    const detail = integrationDetail(name, settings);
    return performOnAccount(this.#core, caller, { action: "strongroom:CreateIntegration", detail }, (now) => {
      if (this.#core.state.get("integration", name) !== undefined)
        throw new CustodyError("INTEGRATION_EXISTS", `there is an integration ${name} already`);
      const box = sealIntegrationSecret(this.#root, name, settings, input.apiSecret).toString("base64");
      const record: IntegrationRecord = { ...settings, createdAt: now.toISOString(), box };
      return { value: describe(name, record), changes: [change("integration", name, record)] };
    });
  }

  async list(caller: Caller): Promise<readonly IntegrationDescription[]> {
    return performOnAccount(this.#core, caller, { action: "strongroom:ListIntegrations" }, () => ({
      value: [...this.#core.state.all("integration")].map(([name, record]) => describe(name, record)),
    }));
  }

  async describe(caller: Caller, name: string): Promise<IntegrationDescription> {
    const subject = {
      action: "strongroom:DescribeIntegration",
      permission: "strongroom:ListIntegrations",
      detail: { name: name.slice(0, 64) },
    } as const;
    return performOnAccount(this.#core, caller, subject, () => ({
      value: describe(name, findIntegration(this.#core, name)),
    }));
  }

  async delete(caller: Caller, name: string): Promise<void> {
    const subject = { action: "strongroom:DeleteIntegration", detail: { name: name.slice(0, 64) } } as const;
    return performOnAccount(this.#core, caller, subject, () => {
      findIntegration(this.#core, name);
      const users = keysOfIntegration(this.#core.state, name);
      if (users.length > 0)
        throw new CustodyError(
          "INTEGRATION_IN_USE",
          `integration ${name} is used by master key ${users.slice(0, 5).join(", ")}${users.length > 5 ? ` and ${users.length - 5} more` : ""}: destroy the keys first`,
        );
      return { value: undefined, changes: [change("integration", name, null)] };
    });
  }
}

/** @throws {CustodyError} `INTEGRATION_NOT_FOUND`. */
export function findIntegration(core: Pick<Core, "state">, name: string): IntegrationRecord {
  const record = core.state.get("integration", name);
  if (record === undefined)
    throw new CustodyError("INTEGRATION_NOT_FOUND", `there is no integration ${JSON.stringify(name.slice(0, 80))}`);
  return record;
}

function settingsOfInput(input: CreateIntegrationInput): AwsKmsSettings {
  const { region, apiKey, masterKey = defaultMasterKeys.integration, endpoint, caPem } = input;
  try {
    checkSecret(input.apiSecret);
    return checkSettings({
      region,
      apiKey,
      masterKey,
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(caPem === undefined ? {} : { caPem }),
    });
  } catch (cause) {
    throw cause instanceof AwsKmsError ? new CustodyError("INPUT_INVALID", cause.message, cause) : cause;
  }
}

/** For the audit record: everything but the secret. Of the CA, who can speak as the endpoint, its fingerprint. */
function integrationDetail(name: string, settings: AwsKmsSettings): Record<string, string> {
  const { region, apiKey, masterKey, endpoint, caPem } = settings;
  return {
    name,
    region,
    apiKey,
    masterKey,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(caPem === undefined ? {} : { caSha256: certificateSha256(caPem) }),
  };
}

/** SHA-256 of the certificate's DER, in lower-case hex. */
function certificateSha256(pem: string): string {
  return new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase();
}

function describe(name: string, record: IntegrationRecord): IntegrationDescription {
  const { endpoint = null, caPem = null, ...settings } = settingsOf(record);
  return { name, ...settings, endpoint, caPem, createdAt: record.createdAt };
}
