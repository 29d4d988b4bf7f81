import { createHash } from "node:crypto";
import type { Context } from "../../crypto/context.ts";
import { CryptoError } from "../../crypto/errors.ts";
import { deviceAlgorithms, openBox, sealBox } from "../../crypto/sealed-box.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { suites } from "../../crypto/suite.ts";
import type { RootKey } from "../root-key.ts";
import { AwsKmsError } from "./errors.ts";
import type { AwsKmsSettings } from "./settings.ts";

/**
 * Seals an integration's secret access key under a root key: a sealed box of type `state`, bound to the integration's name
 * and to all of its settings, so that none of them can be altered to lead the secret's signatures elsewhere.
 */
export function sealIntegrationSecret(
  root: RootKey,
  name: string,
  settings: AwsKmsSettings,
  secret: SecretBuffer,
): Buffer {
  const header = {
    suite: suites[root.suiteName],
    type: "state",
    keyId: root.id,
    keyVersion: 1,
    deviceAlgorithm: deviceAlgorithms.root,
    deviceBlob: Buffer.alloc(0),
  } as const;
  using sealingSecret = root.derive("integrations");
  return secret.expose((bytes) => sealBox(header, sealingSecret, boundTo(name, settings), bytes));
}

/**
 * Opens what {@link sealIntegrationSecret} sealed. The caller disposes of it.
 *
 * @throws {AwsKmsError} `KMS_SETTINGS_TAMPERED` when box, name or any setting is another than what was sealed.
 */
export function openIntegrationSecret(
  root: RootKey,
  name: string,
  settings: AwsKmsSettings,
  box: Uint8Array,
): SecretBuffer {
  using sealingSecret = root.derive("integrations");
  try {
    return openBox(box, "state", sealingSecret, boundTo(name, settings));
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new AwsKmsError(
      "KMS_SETTINGS_TAMPERED",
      `the secret of integration ${name} does not open: a setting or the sealed secret was altered, or the root key is another`,
      cause,
    );
  }
}

function boundTo(name: string, { region, apiKey, masterKey, endpoint, caPem }: AwsKmsSettings): Context {
  return {
    integration: name,
    region,
    apiKey,
    masterKey,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(caPem === undefined ? {} : { ca: createHash("sha256").update(caPem).digest("hex") }),
  };
}
