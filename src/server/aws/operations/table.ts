import type { DefinedOperation } from "../define.ts";
import type { AwsOperation } from "../operation.ts";
import { createAlias, deleteAlias, listAliases, updateAlias } from "./aliases.ts";
import {
  generateDataKey,
  generateDataKeyPair,
  generateDataKeyPairWithoutPlaintext,
  generateDataKeyWithoutPlaintext,
} from "./data-keys.ts";
import { decrypt, encrypt, reEncrypt } from "./encryption.ts";
import { createGrant, listGrants, listRetirableGrants, retireGrant, revokeGrant } from "./grants.ts";
import { deleteImportedKeyMaterial, getParametersForImport, importKeyMaterial } from "./import.ts";
import {
  cancelKeyDeletion,
  createKey,
  describeKey,
  disableKey,
  enableKey,
  listKeys,
  scheduleKeyDeletion,
  updateKeyDescription,
} from "./keys.ts";
import { generateMac, verifyMac } from "./macs.ts";
import { getKeyPolicy, listKeyPolicies, putKeyPolicy } from "./policies.ts";
import { generateRandom } from "./random.ts";
import {
  disableKeyRotation,
  enableKeyRotation,
  getKeyRotationStatus,
  listKeyRotations,
  rotateKeyOnDemand,
} from "./rotation.ts";
import { getPublicKey, sign, verify } from "./signing.ts";
import { listResourceTags, tagResource, untagResource } from "./tags.ts";

/** Every operation that is built. */
export const builtOperations: readonly DefinedOperation[] = [
  cancelKeyDeletion,
  createAlias,
  createGrant,
  createKey,
  decrypt,
  deleteAlias,
  deleteImportedKeyMaterial,
  describeKey,
  disableKey,
  disableKeyRotation,
  enableKey,
  enableKeyRotation,
  encrypt,
  generateDataKey,
  generateDataKeyPair,
  generateDataKeyPairWithoutPlaintext,
  generateDataKeyWithoutPlaintext,
  generateMac,
  generateRandom,
  getKeyPolicy,
  getKeyRotationStatus,
  getParametersForImport,
  getPublicKey,
  importKeyMaterial,
  listAliases,
  listGrants,
  listKeyPolicies,
  listKeyRotations,
  listKeys,
  listResourceTags,
  listRetirableGrants,
  putKeyPolicy,
  reEncrypt,
  retireGrant,
  revokeGrant,
  rotateKeyOnDemand,
  scheduleKeyDeletion,
  sign,
  tagResource,
  untagResource,
  updateAlias,
  updateKeyDescription,
  verify,
  verifyMac,
];

/**
 * Operations that AWS KMS has and Strongroom has not: custom key stores, keys in several Regions, key agreement and
 * encapsulation, and when a key was last used (which is in the audit log).
 */
export const unsupportedOperations: ReadonlySet<string> = new Set([
  "ConnectCustomKeyStore",
  "CreateCustomKeyStore",
  "Decapsulate",
  "DeleteCustomKeyStore",
  "DeriveSharedSecret",
  "DescribeCustomKeyStores",
  "DisconnectCustomKeyStore",
  "Encapsulate",
  "GetKeyLastUsage",
  "ReplicateKey",
  "UpdateCustomKeyStore",
  "UpdatePrimaryRegion",
]);

const byName: ReadonlyMap<string, AwsOperation> = new Map(
  builtOperations.map((operation) => [operation.name, operation] as const),
);

/** The operation of this name; undefined for unknown names and {@link unsupportedOperations}. */
export function awsOperation(name: string): AwsOperation | undefined {
  return byName.get(name);
}
