import type { Caller } from "../../../../src/custody/service.ts";
import { AwsAccount, b64, reveal } from "./aws-account.ts";

/** Who asks, each by a letter of the tables. */
export const columns = {
  R: "the folder's local administrator",
  A: "an administrator",
  K: "a key user",
  U: "an auditor",
  O: "an operator",
  P: "a member of KMS-Users (AWSKeyManagementServicePowerUser) without a role",
  "-": "a user without role and groups",
  N: "a user whom the key policy names for kms:Encrypt",
  G: "a grantee of one operation",
  C: "a grantee of Decrypt under the context node=n1",
  D: "a key user who is disabled",
  M: "a node that is enrolled for the key",
} as const;
export type Column = keyof typeof columns;

export type KeyKind = "symmetric" | "sign" | "mac" | "external" | "disabled" | "pending deletion";

/** A key with its alias and grants, and what the key user made with it. */
export interface Scene {
  readonly keyId: string;
  readonly alias: string;
  /** Revocable, and nobody's to retire. */
  readonly grantId: string;
  /** Under no context, under node=n1, and under the node's own name. */
  readonly blob: string;
  readonly blobOfN1: string;
  readonly blobOfNode: string;
  readonly signature: string;
  readonly mac: string;
  /** Of an import that the administrator began. */
  readonly importToken: string;
}

export const nodeName = "node-1";
const created = {
  symmetric: {},
  disabled: {},
  "pending deletion": {},
  sign: { KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY" },
  mac: { KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC" },
  external: { Origin: "EXTERNAL" },
} as const;
const grantedOperation = { symmetric: "Decrypt", sign: "Sign", mac: "GenerateMac" } as const;

/** The principals of the tables, in one account, and scenes for them to ask in. */
export class MatrixAccount {
  readonly account: AwsAccount;
  readonly callers: Readonly<Record<Column, Caller>>;
  #scenes = 0;

  private constructor(account: AwsAccount, callers: Readonly<Record<Column, Caller>>) {
    this.account = account;
    this.callers = callers;
  }

  static async make(): Promise<MatrixAccount> {
    const account = await AwsAccount.make();
    const { km } = account;
    const policies = ["AWSKeyManagementServicePowerUser"];
    await km.custody.groups.create(km.admin, { name: "KMS-Users", policies });
    const member = await km.custody.users.create(km.admin, { name: "paul", groups: ["KMS-Users"] });
    const plain = async (name: string) => km.as((await km.custody.users.create(km.admin, { name })).arn);
    const disabled = await km.user("dora", "key-user");
    await km.custody.principals.disable(km.admin, "dora");
    const { keyId } = await km.custody.keys.create(km.admin, {});
    const callers: Record<Column, Caller> = {
      R: km.admin,
      A: await km.user("adam", "administrator"),
      K: account.user,
      U: await km.user("ute", "auditor"),
      O: await km.user("olga", "operator"),
      P: km.as(member.arn),
      "-": await plain("nora"),
      N: await plain("nick"),
      G: await plain("grit"),
      C: await plain("carl"),
      D: disabled,
      M: await km.enrol(nodeName, keyId),
    };
    return new MatrixAccount(account, callers);
  }

  /** A key that the account's default statement and one for N govern, with the grants of G, C and M. */
  async scene(kind: KeyKind): Promise<Scene> {
    const { account } = this;
    const keyId = await account.key(created[kind]);
    this.#scenes += 1;
    const alias = `alias/scene-${this.#scenes}`;
    await account.do("CreateAlias", { AliasName: alias, TargetKeyId: keyId });
    await this.#nameInPolicy(keyId);
    const grantId = await this.#grants(keyId, kind);
    const sealed = async (EncryptionContext: Readonly<Record<string, string>>): Promise<string> => {
      if (kind === "sign" || kind === "mac" || kind === "external") return "";
      return b64(
        (await account.do("Encrypt", { KeyId: keyId, Plaintext: b64("x"), EncryptionContext })).CiphertextBlob,
      );
    };
    const request = { KeyId: keyId, Message: b64("x") };
    const scene = {
      keyId,
      alias,
      grantId,
      blob: await sealed({}),
      blobOfN1: await sealed({ node: "n1" }),
      blobOfNode: await sealed({ node: nodeName }),
      signature:
        kind === "sign"
          ? b64((await account.do("Sign", { ...request, SigningAlgorithm: "ECDSA_SHA_256" })).Signature)
          : "",
      mac:
        kind === "mac" ? b64((await account.do("GenerateMac", { ...request, MacAlgorithm: "HMAC_SHA_256" })).Mac) : "",
      importToken: kind === "external" ? await this.#beginImport(keyId) : "",
    };
    if (kind === "disabled") await account.do("DisableKey", { KeyId: keyId });
    if (kind === "pending deletion") await account.do("ScheduleKeyDeletion", { KeyId: keyId });
    return scene;
  }

  /** Whether the door lets this caller, and the failure when it does not. */
  async ask(column: Column, operation: string, input: unknown): Promise<"allowed" | { type: string; message: string }> {
    const caller = { ...this.callers[column], door: "aws", peer: "127.0.0.1" } as const;
    try {
      const answer = await this.account.run(caller, operation, input);
      for (const member of ["Plaintext", "PrivateKeyPlaintext"]) if (answer?.[member]?.expose) reveal(answer[member]);
      return "allowed";
    } catch (error) {
      const { type = "", text = "" } = error as { type?: string; text?: string };
      // What comes after the decision: the request's own faults.
      return type === "AccessDeniedException"
        ? { type, message: text }
        : type === ""
          ? Promise.reject(error)
          : "allowed";
    }
  }

  end(): Promise<void> {
    return this.account.end();
  }

  async #nameInPolicy(KeyId: string): Promise<void> {
    const { Policy } = await this.account.do("GetKeyPolicy", { KeyId });
    const policy = JSON.parse(Policy);
    const named = {
      Sid: "NickEncrypts",
      Effect: "Allow",
      Principal: { AWS: this.callers.N.principal },
      Action: "kms:Encrypt",
      Resource: "*",
    };
    const Statement = [policy.Statement, named].flat();
    await this.account.do("PutKeyPolicy", { KeyId, Policy: JSON.stringify({ ...policy, Statement }) });
  }

  async #grants(KeyId: string, kind: KeyKind): Promise<string> {
    if (kind === "external") return "";
    const usage = kind === "sign" || kind === "mac" ? kind : "symmetric";
    const grant = (to: Column, Operations: readonly string[], more = {}) =>
      this.account.do("CreateGrant", { KeyId, GranteePrincipal: this.callers[to].principal, Operations, ...more });
    const { GrantId } = await grant("G", [grantedOperation[usage]]);
    if (usage !== "symmetric") return GrantId;
    await grant("C", ["Decrypt"], { Constraints: { EncryptionContextEquals: { node: "n1" } } });
    const ofNode = [
      "Decrypt",
      "Encrypt",
      "GenerateDataKeyWithoutPlaintext",
      "ReEncryptFrom",
      "ReEncryptTo",
      "DescribeKey",
    ];
    await grant("M", ofNode, { Constraints: { EncryptionContextSubset: { node: nodeName } } });
    return GrantId;
  }

  async #beginImport(KeyId: string): Promise<string> {
    const wrapping = { WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048" };
    return b64(reveal((await this.account.do("GetParametersForImport", { KeyId, ...wrapping })).ImportToken));
  }
}
