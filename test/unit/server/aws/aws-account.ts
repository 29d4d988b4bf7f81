import assert from "node:assert/strict";
import type { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { keyArn } from "../../../../src/custody/arn.ts";
import type { Caller } from "../../../../src/custody/service.ts";
import { AwsError } from "../../../../src/server/aws/errors.ts";
import { awsOperation } from "../../../../src/server/aws/operations/table.ts";
import { TestKeyManager } from "../../custody/key-manager.ts";

/** An answer of the door, for tests to look into. */
// biome-ignore lint/suspicious/noExplicitAny: a test reads members of answers as it expects them.
export type Answer = any;

/** What a request that failed was answered. */
export interface Failure {
  readonly type: string;
  readonly status: number;
  readonly message: string | undefined;
}

/** A key manager as AWS clients see it: an administrator who manages keys, a user who uses them. */
export class AwsAccount {
  readonly km: TestKeyManager;
  /** Manages every key and uses none. */
  readonly admin: Caller;
  /** Uses keys and manages none. */
  readonly user: Caller;
  /** May do nothing of itself. */
  readonly nobody: Caller;

  private constructor(km: TestKeyManager, user: Caller, nobody: Caller) {
    this.km = km;
    this.admin = overAws(km.admin);
    this.user = overAws(user);
    this.nobody = overAws(nobody);
  }

  static async make(): Promise<AwsAccount> {
    const km = await TestKeyManager.make();
    await km.custody.groups.create(km.admin, { name: "Nothing", policies: [] });
    const { arn } = await km.custody.users.create(km.admin, { name: "nobody", groups: ["Nothing"] });
    return new AwsAccount(km, await km.user("uma", "key-user"), km.as(arn));
  }

  async run(caller: Caller, name: string, input: unknown): Promise<Answer> {
    const operation = awsOperation(name);
    assert.ok(operation, `there is an operation ${name}`);
    return operation.run({ custody: this.km.custody, caller }, input);
  }

  /** Runs it as who may: the user for what uses keys, the administrator for the rest. */
  do(name: string, input: unknown = {}): Promise<Answer> {
    return this.run(usesKeys.has(name) ? this.user : this.admin, name, input);
  }

  async failure(caller: Caller, name: string, input: unknown): Promise<Failure> {
    try {
      await this.run(caller, name, input);
    } catch (error) {
      assert.ok(error instanceof AwsError, `${name} fails in AWS's words, not with ${String(error)}`);
      return { type: error.type, status: error.status, message: error.text };
    }
    return assert.fail(`${name} succeeded`);
  }

  /** Asserts type, message and status 400 of what {@link do} fails with. */
  async refuses(name: string, input: unknown, type: string, message?: string): Promise<void> {
    const caller = usesKeys.has(name) ? this.user : this.admin;
    assert.deepEqual(await this.failure(caller, name, input), { type, status: 400, message }, name);
  }

  /** Makes a key and returns its id. */
  async key(input: Record<string, unknown> = {}): Promise<string> {
    return (await this.do("CreateKey", input)).KeyMetadata.KeyId;
  }

  arn(keyId: string): string {
    return keyArn(this.km.custody.identity, keyId);
  }

  aliasArn(alias: string): string {
    const { region, account } = this.km.custody.identity;
    return `arn:aws:kms:${region}:${account}:${alias}`;
  }

  end(): Promise<void> {
    return this.km.end();
  }
}

export const usesKeys: ReadonlySet<string> = new Set([
  "Decrypt",
  "Encrypt",
  "GenerateDataKey",
  "GenerateDataKeyPair",
  "GenerateDataKeyPairWithoutPlaintext",
  "GenerateDataKeyWithoutPlaintext",
  "GenerateMac",
  "GenerateRandom",
  "GetPublicKey",
  "ReEncrypt",
  "Sign",
  "Verify",
  "VerifyMac",
]);

/** Bytes as they come over the wire. */
export function b64(bytes: Uint8Array | string): string {
  return Buffer.from(bytes).toString("base64");
}

/** The bytes of a secret in an answer, which this ends. */
export function reveal(secret: SecretBuffer): Buffer {
  using ended = secret;
  return ended.expose((bytes) => Buffer.from(bytes));
}

function overAws(caller: Caller): Caller {
  return { ...caller, door: "aws", peer: "127.0.0.1" };
}
