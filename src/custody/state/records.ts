import type { SuiteName } from "../../crypto/suite.ts";
import type { AwsKmsSettings } from "../../devices/aws-kms/settings.ts";
import type { EnclaveReport } from "../contract/enclaves.ts";
import type { Rotation, Tags, WrappingAlgorithm, WrappingKeySpec } from "../contract/key-attributes.ts";
import type { LegacyMode } from "../contract/legacy.ts";
import type { Grant } from "../policy/grant.ts";
import type { ManagedPolicyName } from "../policy/roles.ts";
import type { IdentityKind, KeyOrigin, KeySpec, KeyState, KeyUsage, PrincipalKind, RoleName } from "../service.ts";

/** What each kind of row holds, as JSON. Times are ISO 8601 in UTC, bytes base64. */
export interface Records {
  readonly key: KeyRecord;
  readonly alias: AliasRecord;
  readonly grant: Grant & { readonly keyId: string };
  readonly principal: PrincipalRecord;
  readonly accessKey: AccessKeyRecord;
  readonly group: GroupRecord;
  readonly token: TokenRecord;
  readonly counter: CounterRecord;
  readonly enclave: EnclaveRecord;
  readonly importToken: ImportTokenRecord;
  readonly legacy: LegacyRecord;
  readonly integration: IntegrationRecord;
  /** A secret of the server itself: sealed box of type `state`. */
  readonly secret: { readonly box: string };
  /** A public companion: a certificate. */
  readonly public: { readonly value: string };
}

export type RecordKind = keyof Records;

/** Aliases that were made before their times were kept have none. */
export interface AliasRecord {
  readonly keyId: string;
  readonly createdAt?: string;
  /** When it was last made to point at a key. */
  readonly updatedAt?: string;
}

export interface KeyRecord {
  readonly id: string;
  readonly description: string;
  readonly suite: SuiteName;
  readonly usage: KeyUsage;
  readonly spec: KeySpec;
  readonly origin: KeyOrigin;
  /** Name of the card or token that it lives in; of keys of origin `sdf` and `pkcs11`. */
  readonly device?: string;
  readonly state: KeyState;
  readonly versions: readonly KeyVersionRecord[];
  readonly policy: string;
  readonly createdAt: string;
  readonly deletionAt: string | null;
  readonly tags: Tags;
  /** Automatic rotation; null while it is off. */
  readonly rotation: { readonly periodDays: number; readonly nextAt: string } | null;
  /** SubjectPublicKeyInfo of an asymmetric key. */
  readonly publicKey: string | null;
  /** Of imported material: a keyed digest, so that only the same is accepted again, and when it expires. */
  readonly imported: { readonly digest: string; readonly expiresAt: string | null } | null;
}

export interface KeyVersionRecord {
  readonly version: number;
  readonly createdAt: string;
  /** 64 hex digits; null for signing and MAC keys. */
  readonly materialId: string | null;
  readonly kind: Rotation["kind"];
  /** What the device needs to open this version; null once destroyed. */
  readonly material: string | null;
}

export interface PrincipalRecord {
  readonly name: string;
  readonly kind: PrincipalKind;
  readonly role: RoleName;
  readonly state: "enabled" | "revoked";
  readonly identity: IdentityKind | null;
  readonly publicKeys: readonly { readonly spkiSha256: string; readonly notAfter: string }[];
  readonly groups: readonly string[];
  readonly createdAt: string;
}

export interface AccessKeyRecord {
  readonly user: string;
  readonly version: number;
  readonly state: "enabled" | "disabled";
  readonly createdAt: string;
}

export interface GroupRecord {
  readonly policies: readonly ManagedPolicyName[];
  readonly createdAt: string;
}

/** An import that was begun: the private half of its wrapping key in a sealed box of type `state`. */
export interface ImportTokenRecord {
  readonly keyId: string;
  readonly algorithm: WrappingAlgorithm;
  readonly wrappingKeySpec: WrappingKeySpec;
  readonly box: string;
  readonly expiresAt: string;
}

export interface TokenRecord {
  readonly node: string;
  readonly expiresAt: string;
}

/** A counter of a node. Its id is `node/name`. */
export interface CounterRecord {
  readonly node: string;
  readonly name: string;
  /** 1 to 2^53 - 1. */
  readonly value: number;
  /** 64 hex digits. */
  readonly stamp: string;
  readonly advancedAt: string;
}

/** What a node said last of an enclave at its host. Its id is `node/enclave`. */
export interface EnclaveRecord extends EnclaveReport {
  readonly node: string;
  readonly reportedAt: string;
}

export interface LegacyRecord {
  readonly cipherDataKey: string;
  readonly mode: LegacyMode;
  readonly node: string | null;
  readonly origin: "made" | "registered";
  readonly createdAt: string;
}

/** An upstream KMS: its settings, and the secret in a sealed box of type `state` that is bound to them. */
export interface IntegrationRecord extends AwsKmsSettings {
  readonly box: string;
  readonly createdAt: string;
}

/** One change of state: a record written, or (null) deleted. */
export interface StateChange<K extends RecordKind = RecordKind> {
  readonly kind: K;
  readonly id: string;
  readonly record: Records[K] | null;
}

/** A typed change. */
export function change<K extends RecordKind>(kind: K, id: string, record: Records[K] | null): StateChange<K> {
  return { kind, id, record };
}
