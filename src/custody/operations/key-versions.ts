import { randomBytes } from "node:crypto";
import { isSymmetricSpec } from "../../crypto/key-specs.ts";
import type { DeviceKeyChoice, UpstreamKeyChoice } from "../../devices/device.ts";
import type { Core } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { mustEncrypt } from "../key-states.ts";
import type { KeyRecord, KeyVersionRecord } from "../state/records.ts";

/**
 * A first or further version of a symmetric key, with material that the device makes.
 *
 * @param told - Whether the caller is to learn why an upstream KMS refused, or only that it did.
 */
export async function newVersion(
  core: Core,
  key: Pick<KeyRecord, "id" | "suite" | "origin" | "device" | "versions">,
  kind: "created" | "automatic" | "on-demand",
  now: Date,
  choice?: UpstreamKeyChoice | DeviceKeyChoice,
  told: "outcome" | "reason" = "outcome",
): Promise<KeyVersionRecord> {
  const version = (key.versions.at(-1)?.version ?? 0) + 1;
  const material = await core.devices.use(
    key,
    (device) => device.createKey({ keyId: key.id, version, suite: key.suite }, choice),
    told,
  );
  return {
    version,
    createdAt: now.toISOString(),
    materialId: newMaterialId(),
    kind,
    material: material.toString("base64"),
  };
}

/** Names one version's material: 64 hex digits that tell nothing about it. */
export function newMaterialId(): string {
  return randomBytes(32).toString("hex");
}

/**
 * Refuses a key that has no further versions: only symmetric keys for encryption whose material was made here or in a token have.
 *
 * @throws {CustodyError} `KEY_UNSUPPORTED`.
 */
export function mustHaveVersions(key: KeyRecord): void {
  if (key.origin === "external" || key.origin === "aws-kms" || key.origin === "sdf") throw unsupportedOrigin(key);
  if (key.usage !== "encrypt" || !isSymmetricSpec(key.spec))
    throw new CustodyError(
      "KEY_UNSUPPORTED",
      `master key ${key.id} is ${key.spec} for ${key.usage}: only symmetric keys for encryption are rotated`,
      undefined,
      { keyId: key.id },
    );
}

/** Refuses a key whose material is not imported. @throws {CustodyError} `KEY_UNSUPPORTED`, `KEY_USAGE_INVALID`. */
export function mustImport(key: KeyRecord): void {
  if (key.origin !== "external") throw unsupportedOrigin(key);
  mustEncrypt(key);
}

function unsupportedOrigin(key: KeyRecord): CustodyError {
  return new CustodyError(
    "KEY_UNSUPPORTED",
    `master key ${key.id} is of origin ${key.origin}, which this operation is not for`,
    undefined,
    { keyId: key.id, origin: key.origin },
  );
}
