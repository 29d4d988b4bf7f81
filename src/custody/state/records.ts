import type { SuiteName } from "../../crypto/suite.ts";
import type { Grant } from "../policy/grant.ts";
import type {
  IdentityKind,
  KeyOrigin,
  KeySpec,
  KeyState,
  KeyUsage,
  LegacyMode,
  PrincipalKind,
  RoleName,
} from "../service.ts";

/** What each kind of row holds, as JSON. Times are ISO 8601 in UTC, bytes base64. */
export interface Records {
  readonly key: KeyRecord;
  readonly alias: { readonly keyId: string };
  readonly grant: Grant & { readonly keyId: string };
  readonly principal: PrincipalRecord;
  readonly token: TokenRecord;
  readonly legacy: LegacyRecord;
  /** A secret of the server itself: sealed box of type `state`. */
  readonly secret: { readonly box: string };
  /** A public companion: a certificate. */
  readonly public: { readonly value: string };
}

export type RecordKind = keyof Records;

export interface KeyRecord {
  readonly id: string;
  readonly description: string;
  readonly suite: SuiteName;
  readonly usage: KeyUsage;
  readonly spec: KeySpec;
  readonly origin: KeyOrigin;
  readonly state: KeyState;
  readonly versions: readonly KeyVersionRecord[];
  readonly policy: string;
  readonly createdAt: string;
  readonly deletionAt: string | null;
}

export interface KeyVersionRecord {
  readonly version: number;
  readonly createdAt: string;
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
  readonly createdAt: string;
}

export interface TokenRecord {
  readonly node: string;
  readonly expiresAt: string;
}

export interface LegacyRecord {
  readonly cipherDataKey: string;
  readonly mode: LegacyMode;
  readonly node: string | null;
  readonly origin: "made" | "registered";
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
