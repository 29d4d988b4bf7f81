import type { Context } from "../crypto/context.ts";

import type { SuiteName } from "../crypto/suite.ts";
import type { DeviceKeyChoice, UpstreamKeyChoice } from "../devices/device.ts";
import type { AliasOperations } from "./contract/aliases.ts";
import type { AuditFeed, AuditSearches } from "./contract/audit.ts";
import type { CounterOperations } from "./contract/counters.ts";
import type {
  AsymmetricOperations,
  MacOperations,
  ReEncryptionOperations,
  SigningOperations,
} from "./contract/cryptography.ts";
import type { DataOperations } from "./contract/data-keys.ts";
import type { CustodyDeviceOperations } from "./contract/devices.ts";
import type { EnclaveOperations } from "./contract/enclaves.ts";
import type { GrantOperations } from "./contract/grants.ts";
import type { IntegrationOperations } from "./contract/integrations.ts";
import type { ImportOperations, RotationOperations, TagOperations, Tags } from "./contract/key-attributes.ts";
import type { LeaseOperations } from "./contract/leases.ts";
import type { LegacyOperations } from "./contract/legacy.ts";
import type { NodeOperations } from "./contract/nodes.ts";
import type { PolicyOperations } from "./contract/policies.ts";
import type { ServiceSecrets } from "./contract/secrets.ts";
import type { GroupOperations, UserOperations } from "./contract/users.ts";
import type { Page, PageInput } from "./sorted-ids.ts";

/**
 * What every door calls. A door authenticates and translates; all rules are here.
 *
 * Each call writes one audit record that is durable before the promise settles, and throws `CustodyError`
 * (codes in ./errors.ts). Times are ISO 8601 in UTC.
 */
export interface CustodyService {
  readonly identity: CustodyIdentity;
  readonly keys: KeyOperations;
  readonly data: DataOperations;
  readonly signing: SigningOperations;
  readonly macs: MacOperations;
  readonly asymmetric: AsymmetricOperations;
  readonly reencryption: ReEncryptionOperations;
  readonly tags: TagOperations;
  readonly rotation: RotationOperations;
  readonly imports: ImportOperations;
  readonly aliases: AliasOperations;
  readonly policies: PolicyOperations;
  readonly grants: GrantOperations;
  readonly principals: PrincipalOperations;
  readonly users: UserOperations;
  readonly groups: GroupOperations;
  readonly nodes: NodeOperations;
  readonly leases: LeaseOperations;
  readonly counters: CounterOperations;
  readonly enclaves: EnclaveOperations;
  readonly legacy: LegacyOperations;
  readonly integrations: IntegrationOperations;
  readonly devices: CustodyDeviceOperations;
  readonly audit: AuditOperations;
  readonly secrets: ServiceSecrets;
  /**
   * Authenticates a TLS peer: the enabled principal that owns this public key, or undefined. A principal that is revoked
   * is undefined as well, and its attempt goes on record (once a second; beyond that it is counted).
   */
  principalOfPublicKey(
    spkiSha256: Buffer,
    attempt: { readonly door: Door; readonly peer: string; readonly requestId: string },
  ): Promise<PrincipalDescription | undefined>;
  /** Puts a request on record that asks nothing of custody and is allowed to whoever is known. */
  acknowledge(caller: Caller, action: string, detail?: AuditRecord["detail"]): Promise<void>;
  /**
   * Whether the principal of this ARN exists and is enabled, by the state of this moment; with the SHA-256 of a public key
   * (hex), also whether that is the key of a certificate of its own that has not ended.
   */
  isEnabled(principal: string, spkiSha256?: string): boolean;
  /**
   * Calls back with the records of each commit, once the state they tell of is in force. For the server itself: what it
   * shows of them to a caller, the caller must be allowed to read. Must not throw. Returns what ends it.
   */
  follow(listener: (records: readonly AuditRecord[]) => void): () => void;
  /**
   * Puts a known caller's request on record that a door refused for its form, with the door's code; once a second for each
   * principal, the rest is counted.
   */
  recordRefused(caller: Caller, action: string, code: string): Promise<void>;
  /** Counts a refusal of a caller nobody knows; a summary record is written at most once a minute. */
  countRefusal(door: Door, peer: string, reason: string): void;
  /** Ready to answer: the root is unlocked, the store's state authenticates and a record could be written lately. */
  readiness(): { readonly ready: boolean; readonly reason?: string };
  close(): Promise<void>;
}

export type Door = "native" | "fisco" | "aws" | "console" | "local";

/** Who calls, and over what. */
export interface Caller {
  /** ARN of the principal. */
  readonly principal: string;
  readonly door: Door;
  /** Address of the peer: an IP address, or `unix:uid=0`. */
  readonly peer: string;
  /** Unique per request; in the audit record and in the answer. */
  readonly requestId: string;
  /** What the caller's program calls itself, for the audit record; at most 256 characters. */
  readonly userAgent?: string;
  /** Id of the access key that signed the request. */
  readonly accessKeyId?: string;
  /** Whether the request came over TLS (`aws:SecureTransport`), at a door that takes both. */
  readonly secureTransport?: boolean;
  /** Decide and record, but do nothing: a request that would succeed is refused with `DRY_RUN`. */
  readonly dryRun?: boolean;
}

/** Stable facts about this key manager. */
export interface CustodyIdentity {
  /** Twelve digits, drawn at init; part of every ARN. */
  readonly account: string;
  readonly region: string;
  /** ARN of the administrator that the data folder's own socket and command line act as. */
  readonly localAdministrator: string;
}

export type KeyUsage = "encrypt" | "sign" | "mac";
export type KeySpec =
  | "AES_256"
  | "SM4"
  | "RSA_2048"
  | "RSA_3072"
  | "RSA_4096"
  | "ECC_NIST_P256"
  | "ECC_NIST_P384"
  | "ECC_NIST_P521"
  | "ECC_SECG_P256K1"
  | "SM2"
  | "HMAC_224"
  | "HMAC_256"
  | "HMAC_384"
  | "HMAC_512"
  | "HMAC_SM3";
export type KeyOrigin = "soft" | "sdf" | "pkcs11" | "aws-kms" | "external";
export type KeyState = "enabled" | "disabled" | "pending-import" | "pending-deletion" | "destroyed";

export interface KeyVersionDescription {
  readonly version: number;
  readonly createdAt: string;
}

export interface KeyDescription {
  readonly keyId: string;
  readonly arn: string;
  readonly aliases: readonly string[];
  readonly description: string;
  readonly suite: SuiteName;
  readonly usage: KeyUsage;
  readonly spec: KeySpec;
  readonly origin: KeyOrigin;
  /** Name of the card or token that the key lives in; null for keys that live in none. */
  readonly device: string | null;
  readonly state: KeyState;
  readonly currentVersion: number;
  readonly versions: readonly KeyVersionDescription[];
  readonly createdAt: string;
  readonly deletionAt: string | null;
  /** 64 hex digits that name the current version's material; null for signing and MAC keys, and without material. */
  readonly materialId: string | null;
  /** When imported material expires; null for never, and for material that was made here. */
  readonly expiresAt: string | null;
}

/** `key` is everywhere an id (UUID), an `alias/NAME`, a key ARN or an alias ARN. */
export interface KeyOperations {
  create(caller: Caller, input: CreateKeyInput): Promise<KeyDescription>;
  /** `unlessDestroyed`: a destroyed key is refused, as every other operation refuses it (`KEY_STATE_INVALID`). */
  describe(caller: Caller, key: string, options?: { readonly unlessDestroyed?: boolean }): Promise<KeyDescription>;
  list(caller: Caller): Promise<readonly KeyDescription[]>;
  /** One page of the keys in the order of their ids: by default of those that are not destroyed. */
  page(caller: Caller, page: PageInput, options?: { readonly which?: "all" | "living" }): Promise<Page<KeyDescription>>;
  enable(caller: Caller, key: string): Promise<KeyDescription>;
  disable(caller: Caller, key: string): Promise<KeyDescription>;
  /** Makes a new version; boxes of older versions still open. */
  rotate(caller: Caller, key: string): Promise<KeyDescription>;
  /** 7 to 30 days. The key stops working at once. */
  scheduleDeletion(caller: Caller, key: string, pendingDays: number): Promise<KeyDescription>;
  /** Back to `disabled`. */
  cancelDeletion(caller: Caller, key: string): Promise<KeyDescription>;
  /** Destroys the key material of a key whose waiting time has passed; its aliases and grants go with it. */
  destroy(caller: Caller, key: string): Promise<KeyDescription>;
  /** Destroys every key whose waiting time has passed, each with its own record. Called by the server now and then. */
  destroyDue(): Promise<number>;
  updateDescription(caller: Caller, key: string, description: string): Promise<KeyDescription>;
}

export interface CreateKeyInput {
  readonly suite?: SuiteName;
  readonly usage?: KeyUsage;
  readonly spec?: KeySpec;
  readonly description?: string;
  readonly alias?: string;
  /** AWS key policy JSON; by default the account's identity policies decide. */
  readonly policy?: string;
  readonly bypassLockoutCheck?: boolean;
  readonly tags?: Tags;
  /**
   * `external`: without material, which is imported later; `aws-kms`: a key of an upstream KMS, which `upstream` names.
   *
   * @defaultValue `"soft"`
   */
  readonly origin?: "soft" | "external" | "aws-kms";
  /** Of a key of origin `aws-kms`, and of no other. */
  readonly upstream?: UpstreamKeyChoice;
  /** A card or token of `devices.toml` in place of an origin, and which key there; without one, a new key where it makes keys. */
  readonly device?: DeviceKeyChoice & { readonly name: string };
}

export type PrincipalKind = "user" | "node" | "service";
/** `none`: rights come from groups alone. */
export type RoleName = "administrator" | "auditor" | "operator" | "key-user" | "node" | "fisco-door" | "none";

export interface PrincipalDescription {
  readonly name: string;
  readonly arn: string;
  readonly kind: PrincipalKind;
  readonly role: RoleName;
  readonly state: "enabled" | "revoked";
  /** For nodes: how the identity is kept on the node's host. */
  readonly identity: IdentityKind | null;
  /** SHA-256 of the SubjectPublicKeyInfo, hex, of each certificate key in force. */
  readonly publicKeys: readonly string[];
  readonly createdAt: string;
}

export type IdentityKind = "file" | "tmpfs" | "tpm";

export interface PrincipalOperations {
  create(caller: Caller, input: { name: string; kind: PrincipalKind; role: RoleName }): Promise<PrincipalDescription>;
  list(caller: Caller): Promise<readonly PrincipalDescription[]>;
  /** Revokes: no request of this principal that starts after the promise settles succeeds. */
  disable(caller: Caller, name: string): Promise<PrincipalDescription>;
  enable(caller: Caller, name: string): Promise<PrincipalDescription>;
}

export interface AuditRecord {
  readonly sequence: number;
  /** UUID; empty in records of chains that began before records had one. */
  readonly eventId: string;
  readonly at: string;
  readonly door: Door;
  readonly principal: string;
  /** The access key that signed the request. */
  readonly accessKeyId: string | null;
  readonly peer: string;
  readonly userAgent: string | null;
  readonly action: string;
  readonly key: string | null;
  readonly context: Context | null;
  readonly result: "done" | "refused" | "failed";
  /** Code of the error, when not done. */
  readonly error: string | null;
  readonly requestId: string;
  /** What else the reader needs: names, numbers, ids. Never a secret. */
  readonly detail: Readonly<Record<string, string | number>>;
}

export interface Checkpoint {
  readonly account: string;
  readonly epoch: number;
  readonly sequence: number;
  /** Hash of the record at `sequence`, hex. */
  readonly head: string;
  readonly stateVersion: number;
  readonly at: string;
  /** Ed25519 over the other members, base64. */
  readonly signature: string;
  /** SubjectPublicKeyInfo of the signing key, base64. */
  readonly publicKey: string;
}

export interface AuditVerdict {
  readonly ok: boolean;
  readonly records: number;
  /** The first bad record and what is wrong with it, when not ok. */
  readonly firstBad?: { readonly sequence: number; readonly reason: string };
  readonly head: string;
}

export interface AuditOperations extends AuditSearches {
  /** For the server itself, not for callers. */
  readonly feed: AuditFeed;
  /** Records from `after` (exclusive) on, at most `limit` (1 to 10 000) and about 4 MiB: the next call goes on. */
  read(caller: Caller, input: { after: number; limit: number }): Promise<readonly AuditRecord[]>;
  checkpoint(caller: Caller): Promise<Checkpoint>;
  verify(caller: Caller, checkpoint?: Checkpoint): Promise<AuditVerdict>;
}
