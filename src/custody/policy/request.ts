import type { Context } from "../../crypto/context.ts";
import type { ActionName } from "./actions.ts";

export type Tags = Readonly<Record<string, string>>;

/** Who asks. Authenticated by a door before the engine is asked. */
export interface RequestPrincipal {
  readonly arn: string;
  /** Twelve digits; the account part of `arn`. */
  readonly account: string;
  /** `User`, `Node`, `Service`, or `Account` for an account's root: the value of `aws:PrincipalType`. */
  readonly type: string;
  readonly tags?: Tags | undefined;
}

/** The master key a request is about. Spellings are AWS's: see key-facts.ts. */
export interface KeyResource {
  readonly kind: "key";
  readonly keyId: string;
  readonly arn: string;
  readonly account: string;
  /** With their prefix: `alias/…`. */
  readonly aliases: readonly string[];
  readonly spec: string;
  readonly usage: string;
  readonly origin: string;
  readonly tags?: Tags | undefined;
}

/** Anything else that has an ARN: a node, a principal, an alias. It has no policy of its own. */
export interface OtherResource {
  readonly kind: "other";
  readonly arn: string;
  readonly account: string;
  readonly tags?: Tags | undefined;
}

/** What a `kms:CreateGrant` request asks for. */
export interface RequestedGrant {
  readonly operations: readonly string[];
  readonly grantee: string;
  readonly retiring?: string | undefined;
  readonly constraintType?: "EncryptionContextEquals" | "EncryptionContextSubset" | undefined;
  readonly isForAwsResource?: boolean | undefined;
}

/** One question to the engine: may this principal do this, to this, under these circumstances? */
export interface AuthorizationRequest {
  readonly principal: RequestPrincipal;
  readonly action: ActionName;
  /** Absent for actions about no single thing, such as `kms:CreateKey` and `strongroom:ReadAudit`. */
  readonly resource?: KeyResource | OtherResource | undefined;
  /** Encryption context of a cryptographic call; of a `kms:CreateGrant`, the context in its constraints. */
  readonly context?: Context | undefined;
  /** IP address of the peer; absent over a Unix socket. */
  readonly sourceIp?: string | undefined;
  readonly secureTransport: boolean;
  /** When the request came in; the engine has no clock. */
  readonly now: Date;
  /** The alias by which the request named the key, with `alias/`. */
  readonly requestAlias?: string | undefined;
  readonly viaService?: string | undefined;
  readonly grant?: RequestedGrant | undefined;
  readonly requestTags?: Tags | undefined;
  /** Tag names of a request that carries no values; by default the names of `requestTags`. */
  readonly tagKeys?: readonly string[] | undefined;
  /** Of a re-encryption: source and destination are the same key. */
  readonly reEncryptOnSameKey?: boolean | undefined;
  readonly pendingWindowDays?: number | undefined;
  /** As given in the request; absent when the caller did not give it. */
  readonly bypassLockoutCheck?: boolean | undefined;
  /** Spec, usage and origin asked for by `kms:CreateKey`, which has no key yet. */
  readonly newKey?: Pick<KeyResource, "spec" | "usage" | "origin"> | undefined;
}
