import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { ManagedPolicyName } from "../policy/roles.ts";
import type { Caller, PrincipalDescription, RoleName } from "../service.ts";

export interface UserDescription extends PrincipalDescription {
  readonly groups: readonly string[];
  readonly accessKeys: readonly AccessKeyDescription[];
}

export interface AccessKeyDescription {
  /** `AKIA…`, 20 characters. */
  readonly id: string;
  readonly user: string;
  /** From 1; a rotation makes the next one and ends the one before. */
  readonly version: number;
  readonly state: "enabled" | "disabled";
  readonly createdAt: string;
}

/** The secret of an access key: 40 characters, told once. */
export interface NewAccessKey extends AccessKeyDescription {
  /** The caller disposes of it. */
  readonly secret: SecretBuffer;
}

export interface GroupDescription {
  readonly name: string;
  readonly arn: string;
  readonly policies: readonly ManagedPolicyName[];
  readonly createdAt: string;
}

/** People and programs that sign their requests (AWS Signature Version 4), as IAM has them. */
export interface UserOperations {
  /** With a role, groups, or both: a user's rights are those of its role and of its groups' policies. */
  create(
    caller: Caller,
    input: { readonly name: string; readonly role?: RoleName; readonly groups?: readonly string[] },
  ): Promise<UserDescription>;
  list(caller: Caller): Promise<readonly UserDescription[]>;
  describe(caller: Caller, name: string): Promise<UserDescription>;
  setGroups(caller: Caller, name: string, groups: readonly string[]): Promise<UserDescription>;
  /** Removes the user, its access keys and its grants. */
  delete(caller: Caller, name: string): Promise<void>;
  /** At most two a user. */
  createAccessKey(caller: Caller, name: string): Promise<NewAccessKey>;
  /** The next version under the same id: the old secret ends with this call. */
  rotateAccessKey(caller: Caller, id: string): Promise<NewAccessKey>;
  setAccessKeyState(caller: Caller, id: string, state: "enabled" | "disabled"): Promise<AccessKeyDescription>;
  deleteAccessKey(caller: Caller, id: string): Promise<void>;
  /**
   * Who signs with this access key, by the state of this moment; undefined unless key and user are both enabled. The
   * secret is custody's own, in memory: it is lent and must not be disposed of. `version` tells when to forget what was
   * derived from it.
   */
  ofAccessKey(
    id: string,
  ): { readonly principal: PrincipalDescription; readonly secret: SecretBuffer; readonly version: number } | undefined;
  /**
   * The same of an access key that is disabled or whose user is, for a door that is about to refuse: a signature that fits
   * tells that it was this user's program that called. Undefined for a key in force and for one that is not known.
   */
  endedAccessKey(id: string): ReturnType<UserOperations["ofAccessKey"]>;
  /**
   * Puts on record, under the user's name, that an ended access key was used, and what ended it (`deniedBy`): once a second
   * for each user, the rest is counted. Nothing for a key that is in force or not known.
   */
  recordEndedAccessKey(id: string, attempt: Omit<Caller, "principal" | "accessKeyId">): Promise<void>;
}

/** `policies` are names of managed policies (policy/roles.ts); an unknown one is `INPUT_INVALID`. */
export interface GroupOperations {
  create(
    caller: Caller,
    input: { readonly name: string; readonly policies: readonly string[] },
  ): Promise<GroupDescription>;
  list(caller: Caller): Promise<readonly GroupDescription[]>;
  setPolicies(caller: Caller, name: string, policies: readonly string[]): Promise<GroupDescription>;
  delete(caller: Caller, name: string): Promise<void>;
}
