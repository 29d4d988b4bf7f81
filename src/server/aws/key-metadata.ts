import { algorithmsOf, isSymmetricSpec } from "../../crypto/key-specs.ts";
import type { CustodyIdentity, KeyDescription, KeySpec, KeyUsage } from "../../custody/service.ts";
import type { JsonObject } from "./operation.ts";
import { awsKeySpec, awsKeyState, awsKeyUsage, awsOrigin, epochSeconds } from "./vocabulary.ts";

/** `KeyMetadata` of CreateKey and DescribeKey. */
export function keyMetadata(identity: CustodyIdentity, key: KeyDescription): JsonObject {
  const spec = awsKeySpec(key.spec);
  return {
    AWSAccountId: identity.account,
    KeyId: key.keyId,
    Arn: key.arn,
    CreationDate: epochSeconds(key.createdAt),
    Enabled: key.state === "enabled",
    Description: key.description,
    KeyUsage: awsKeyUsage(key.usage),
    KeyState: awsKeyState(key.state),
    DeletionDate: key.deletionAt === null ? undefined : epochSeconds(key.deletionAt),
    ValidTo: key.expiresAt === null ? undefined : epochSeconds(key.expiresAt),
    Origin: awsOrigin(key.origin),
    ExpirationModel: expirationModel(key),
    KeyManager: "CUSTOMER",
    CustomerMasterKeySpec: spec,
    KeySpec: spec,
    ...algorithmMembers(key.spec, key.usage),
    MultiRegion: false,
    CurrentKeyMaterialId: key.materialId ?? undefined,
  };
}

/** The one of `EncryptionAlgorithms`, `SigningAlgorithms`, `MacAlgorithms` that a key of this usage has. */
export function algorithmMembers(spec: KeySpec, usage: KeyUsage): JsonObject {
  const algorithms = isSymmetricSpec(spec) ? ["SYMMETRIC_DEFAULT"] : algorithmsOf(spec, usage);
  if (usage === "sign") return { SigningAlgorithms: algorithms };
  return usage === "mac" ? { MacAlgorithms: algorithms } : { EncryptionAlgorithms: algorithms };
}

/** Only of a key that imported material is in. */
function expirationModel({ origin, materialId, expiresAt }: KeyDescription): string | undefined {
  if (origin !== "external" || materialId === null) return undefined;
  return expiresAt === null ? "KEY_MATERIAL_DOES_NOT_EXPIRE" : "KEY_MATERIAL_EXPIRES";
}
